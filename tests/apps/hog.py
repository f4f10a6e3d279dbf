"""Requests that keep a thread, or the interpreter, until a file is there; anything else is fast.

`/sleep/NAME` waits, `/spin/NAME` computes, both until `$HOG/NAME.end` exists; `/match/NAME` is in C
with the interpreter's lock for longer than any test. Each first makes `$HOG/NAME` with the process
id.
"""

import os
import re
import time
from pathlib import Path

FOLDER = Path(os.environ["HOG"])


def app(environ, start_response):
    path = environ["PATH_INFO"]
    what, _, name = path.strip("/").partition("/")
    if name:
        begun = FOLDER / f"{name}.begun"
        begun.write_text(str(os.getpid()))
        begun.rename(FOLDER / name)
        end = FOLDER / f"{name}.end"
        if what == "sleep":
            while not end.exists():
                time.sleep(0.01)
        elif what == "spin":
            while not end.exists():
                sum(range(1000))
        elif what == "match":
            re.match(r"(?:a|a)+$", "a" * 60 + "b")
    data = f"{os.getpid()} {path}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
