"""What a hostile client, or a careless author, makes of an application."""

import contextlib
import os
import sys
import threading
import time

PLAIN = [("Content-Type", "text/plain")]
kept = []


class Endless:
    """Items without end; says in the log when it is closed."""

    def __init__(self, size):
        self.item = b"x" * size

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(0.005)
        return self.item

    def close(self):
        print("closed the endless one", file=sys.stderr, flush=True)


def fork_and_stay(seconds):
    """A child that has everything that the worker has open, for a while."""
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()


def keep(environ, start_response):
    """Uses what it was lent when the request is long over."""
    stream = environ["wsgi.input"]

    def later():
        for _ in range(20):
            time.sleep(0.001)
            for call in (stream.read, lambda: start_response("200 OK", []), environ.clear):
                with contextlib.suppress(RuntimeError, ValueError, AssertionError, OSError):
                    call()

    threading.Thread(target=later).start()
    kept.append((environ, start_response))
    del kept[:-50]


def app(environ, start_response):
    path, _, argument = environ["PATH_INFO"].strip("/").partition("/")
    if path == "endless":
        start_response("200 OK", PLAIN)
        return Endless(int(argument))
    if path == "fork":
        fork_and_stay(float(argument))
    elif path == "sleep":
        time.sleep(float(argument))
    elif path == "keep":
        keep(environ, start_response)
    elif path == "fields":
        start_response("200 OK", PLAIN + [(f"X-{n}", "v" * 60_000) for n in range(int(argument))])
        return [b"done"]
    elif path == "big":
        start_response("200 OK", PLAIN)
        return [b"x" * int(argument)]
    body = str(os.getpid()).encode()
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]
