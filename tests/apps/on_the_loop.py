"""What an application may do with Tornado's loop."""

from __future__ import annotations

import asyncio
import threading

from tornado.ioloop import IOLoop

SPAWNED = []
MEETING = threading.Barrier(3)

# With `--preload` this is the master's.
EARLY = IOLoop.current()


async def note():
    await asyncio.sleep(0.01)
    SPAWNED.append(1)


def app(environ, start_response):
    path, body = environ["PATH_INFO"], b"hello"
    if path == "/spawn":
        IOLoop.current().spawn_callback(note)
        body = b"spawned on " + threading.current_thread().name.encode()
    elif path == "/call":
        EARLY.add_callback(SPAWNED.append, 1)
    elif path == "/spawned":
        body = str(len(SPAWNED)).encode()
    elif path == "/meet":
        MEETING.wait(60)
        body = b"met"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
