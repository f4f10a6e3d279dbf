"""Requests that keep a thread, or the interpreter, until a file is there; anything else is fast.

`/sleep/NAME` waits, `/spin/NAME` computes, `/stream/NAME` sends a dot now and then, all three until
`$HOG/NAME.end` exists. `/match/NAME` is in C with the interpreter's lock for longer than any test;
`/lock/NAME` is so for ever, without looking for signals. Each first makes `$HOG/NAME` with the
process id. `/told` answers with the process id, the body and the environ, as JSON.
"""

import json
import os
import re
import time
from collections import deque
from itertools import repeat
from pathlib import Path

FOLDER = Path(os.environ["HOG"])


def dots(end):
    while not end.exists():
        yield b"."
        time.sleep(0.01)


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
        elif what == "lock":
            deque(repeat(None), maxlen=0)
        elif what == "stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return dots(end)
    data = f"{os.getpid()} {path}".encode()
    if path == "/told":
        told = {name: value for name, value in environ.items() if isinstance(value, str)}
        body = environ["wsgi.input"].read().decode("latin-1")
        data = json.dumps({"pid": os.getpid(), "body": body, "environ": told}).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
