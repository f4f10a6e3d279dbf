"""Asks whether its client has gone.

`/until/NAME` makes `$WATCHFUL/NAME`, asks until the answer is yes, and makes `$WATCHFUL/NAME.gone`;
`/ask/NAME` makes `$WATCHFUL/NAME`, waits for `$WATCHFUL/NAME.go`, and answers with what it is told;
`/keep` keeps its question for `/kept`, which asks it again.
"""

import os
import time
from pathlib import Path

FOLDER = Path(os.environ["WATCHFUL"])
KEPT = []


def app(environ, start_response):
    is_gone = environ["oxicorn.client_disconnected"]
    what, _, name = environ["PATH_INFO"].strip("/").partition("/")
    answer = "done"
    if name:
        (FOLDER / name).touch()
    if what == "until":
        while not is_gone():
            time.sleep(0.01)
        (FOLDER / f"{name}.gone").touch()
    elif what == "ask":
        while not (FOLDER / f"{name}.go").exists():
            time.sleep(0.01)
        answer = str(is_gone())
    elif what == "keep":
        KEPT.append(is_gone)
        answer = str(is_gone())
    elif what == "kept":
        try:
            answer = str(KEPT[0]())
        except RuntimeError as error:
            answer = str(error)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
