"""Requests that come in company: which of them had their call is in `$COMPANY/called`.

`/slow/NAME` keeps its call until `$COMPANY/NAME.end` exists, `/after/NAME` its generator once the
last byte is out, and `/close/NAME` the `close` of what it returned; each makes `$COMPANY/NAME` when
it gets there. Anything else is answered at once.
"""

import os
import time
from pathlib import Path

FOLDER = Path(os.environ["COMPANY"])
CALLED = (FOLDER / "called").open("a", buffering=1)
BODY = b"whole"


def wait(name):
    (FOLDER / name).touch()
    while not (FOLDER / f"{name}.end").exists():
        time.sleep(0.01)


def body_and_work(name):
    yield BODY
    wait(name)


class Closing:
    def __init__(self, name):
        self.name = name

    def __iter__(self):
        return iter([BODY])

    def close(self):
        wait(self.name)


def app(environ, start_response):
    what, _, name = environ["PATH_INFO"].strip("/").partition("/")
    CALLED.write(f"{what}/{name}\n")
    if what == "slow":
        wait(name)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    if what == "after":
        return body_and_work(name)
    return Closing(name) if what == "close" else [BODY]
