"""Kills its own process, in several ways, but only when it is told to."""

import ctypes
import os
import signal
import time
from pathlib import Path

FOLDER = Path(os.environ["MORTAL"])


def app(environ, start_response):
    what = environ["PATH_INFO"].strip("/")
    if what == "wait":
        (FOLDER / "waiting").touch()
        while not (FOLDER / "end").exists():
            time.sleep(0.01)
    elif what == "crash":
        ctypes.string_at(0)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(7)
    elif what == "eat":
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(1024) * 1024))
    data = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
