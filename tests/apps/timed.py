"""Requests that take too long, each in its way, until `$TIMED/NAME.end` exists.

`/WAY/NAME` makes `$TIMED/NAME` with the process id when it has begun; anything else answers with
the process id at once.
"""

import ctypes
import os
import threading
import time
from collections import deque
from functools import partial
from itertools import repeat
from pathlib import Path

from oxicorn.errors import RequestTimeout

FOLDER = Path(os.environ["TIMED"])


def wait(name):
    while not (FOLDER / f"{name}.end").exists():
        time.sleep(0.01)


def way_sleep(environ, name):
    wait(name)


def way_spin(environ, name):
    while not (FOLDER / f"{name}.end").exists():
        sum(range(1000))


def way_catch(environ, name):
    try:
        wait(name)
    except RequestTimeout as error:
        return f"caught: {error}"


def way_exception(environ, name):
    """What frameworks do with errors must not stop it."""
    try:
        wait(name)
    except Exception:
        return "kept"


def way_swallow(environ, name):
    while True:
        try:
            wait(name)
            break
        except BaseException:
            (FOLDER / f"{name}.swallowed").touch()


def way_block(environ, name):
    """In a call of Python's own, which a signal reaches on the main thread."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def way_mutex(environ, name):
    """In C and without the interpreter's lock: nothing can be raised there."""
    mutex = ctypes.create_string_buffer(64)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)


def way_lock(environ, name):
    """In C, with the interpreter's lock."""
    deque(repeat(None), maxlen=0)


def way_stream(environ, name):
    def pieces():
        yield b"one"
        wait(name)
        yield b"two"

    return pieces()


def way_pipe(environ, name):
    """The rest of this request is C code, which nothing set for its thread can interrupt."""
    reader, writer = os.pipe()

    def write():
        wait(name)
        os.write(writer, b"end")
        os.close(writer)

    threading.Thread(target=write).start()
    return iter(partial(os.read, reader, 3), b"")


def way_read(environ, name):
    environ["wsgi.input"].read()


def way_more(environ, name):
    """Gives itself time."""
    deadline = environ["oxicorn.deadline"]
    before = deadline.remaining
    deadline.extend(1000)
    after = deadline.remaining
    wait(name)
    return f"{before is not None and 0 <= before < 500} {after is not None and after > 900}"


def way_race(environ, name):
    """Ends at about the time of its limit; tells whether it was interrupted, and after how long."""
    began = time.monotonic()
    try:
        while time.monotonic() < began + int(name) / 1000:
            time.sleep(0.0005)
    except RequestTimeout:
        return f"interrupted {time.monotonic() - began:.4f}"
    return "ended"


def app(environ, start_response):
    way, _, name = environ["PATH_INFO"].strip("/").partition("/")
    result = None
    if way == "race":
        result = way_race(environ, name)
    elif way == "remaining":
        result = str(environ["oxicorn.deadline"].remaining)
    elif name:
        begun = FOLDER / f"{name}.begun"
        begun.write_text(str(os.getpid()))
        begun.rename(FOLDER / name)
        result = globals()[f"way_{way}"](environ, name)
    result = str(os.getpid()) if result is None else result
    body = [result.encode()] if isinstance(result, str) else result
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body
