"""What `apps/hog.py` does, and responses of every kind.

`/large` sends 4 MiB in pieces of any size, `/file` the same from a file; `/hints` an early hint
first. `/watch/NAME` waits until its client is gone, and `/dots/NAME` sends dots until it is closed;
both make `$HOG/NAME.gone` then.
"""

import os
import random
import tempfile
import time

from apps.hog import FOLDER
from apps.hog import app as hog

_RANDOM = random.Random(7)
LARGE = _RANDOM.randbytes(4 << 20)
TYPE = ("Content-Type", "application/octet-stream")


def pieces():
    at = 0
    sizes = random.Random(8)
    while at < len(LARGE):
        size = sizes.choice([1, 100, 5000, 200_000])
        yield LARGE[at : at + size]
        at += size


def dots(gone):
    try:
        while True:
            yield b"." * 1000
            time.sleep(0.01)
    finally:
        gone.touch()


def app(environ, start_response):
    what, _, name = environ["PATH_INFO"].strip("/").partition("/")
    begun, gone = FOLDER / name, FOLDER / f"{name}.gone"
    if what == "large":
        start_response("200 OK", [TYPE])
        return pieces()
    if what == "file":
        file = tempfile.TemporaryFile()  # noqa: SIM115  (the server closes it)
        file.write(LARGE)
        file.seek(0)
        start_response("200 OK", [TYPE, ("Content-Length", str(len(LARGE)))])
        return environ["wsgi.file_wrapper"](file)
    if what == "hints":
        environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
        start_response("200 OK", [TYPE])
        return [str(os.getpid()).encode()]
    if what == "fails":
        raise RuntimeError("as it should")
    if what == "breaks":
        start_response("200 OK", [TYPE, ("Content-Length", "100")])
        return [b"too little"]
    if what == "watch":
        begun.write_text(str(os.getpid()))
        while not environ["oxicorn.client_disconnected"]():
            time.sleep(0.01)
        gone.touch()
        start_response("200 OK", [TYPE])
        return [b""]
    if what == "dots":
        start_response("200 OK", [TYPE])
        begun.write_text(str(os.getpid()))
        return dots(gone)
    return hog(environ, start_response)
