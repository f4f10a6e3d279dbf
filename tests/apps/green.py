"""What a greenlet may do in a request: sleep, wait for others, stream, read slowly, fail."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time

# Patched before this module is loaded, so that these are greenlets and their locks.
LOCK = threading.Lock()
SLEEPING = 0
RELEASED = threading.Event()
TOLD = threading.Event()
STRAY = []
LEFT = contextvars.ContextVar("LEFT", default="nothing")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    function = globals().get("do_" + path.strip("/").replace("/", "_") or "do_hello", do_hello)
    status, body = function(environ)
    start_response(status, [("Content-Type", "text/plain")])
    return body


def do_hello(environ):
    return "200 OK", [b"hello"]


def do_sleep(environ):
    """Holds its request until /release."""
    global SLEEPING
    SLEEPING += 1
    try:
        RELEASED.wait(120)
    finally:
        SLEEPING -= 1
    return "200 OK", [b"slept"]


def do_sleeping(environ):
    return "200 OK", [str(SLEEPING).encode()]


def do_release(environ):
    RELEASED.set()
    return "200 OK", [b"released"]


def do_patched(environ):
    """Threads are greenlets, and a lock that another greenlet has is waited for in the loop."""
    import socket

    import gevent.socket

    seen = []

    def work():
        with LOCK:
            seen.append(1)

    thread = threading.Thread(target=work)
    with LOCK:
        thread.start()
        time.sleep(0.01)
        held = not seen
    thread.join()
    patched = socket.socket is gevent.socket.socket
    return "200 OK", [f"{held} {len(seen)} {patched}".encode()]


def do_self(environ):
    """Asks this very worker through a patched socket: only possible with more than one greenlet."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", int(environ["SERVER_PORT"]), timeout=60)
    connection.request("GET", "/hello", headers={"Connection": "close"})
    body = connection.getresponse().read()
    connection.close()
    return "200 OK", [b"got " + body]


def do_stream(environ):
    def pieces():
        for number in range(5):
            time.sleep(0.01)
            yield b"%d\n" % number

    return "200 OK", pieces()


def do_large(environ):
    """64 MiB, more than any socket buffer and the limit of the test for what is kept."""
    return "200 OK", (b"x" * 65536 for _ in range(1024))


def do_count(environ):
    """Reads the body as it comes."""
    stream, total = environ["wsgi.input"], 0
    while data := stream.read(65536):
        total += len(data)
    return "200 OK", [str(total).encode()]


def do_impatient(environ):
    """Gives up waiting for the body, and still answers."""
    import gevent

    with gevent.Timeout(0.2, False):
        environ["wsgi.input"].read()
        return "200 OK", [b"read"]
    return "200 OK", [b"gave up"]


def do_fail(environ):
    raise LookupError("no such thing")


def do_leave(environ):
    """Returns while a greenlet of its own still reads the body."""
    import gevent

    def read():
        with contextlib.suppress(OSError):
            environ["wsgi.input"].read()

    gevent.spawn(read)
    gevent.sleep(0.05)
    return "200 OK", [b"left"]


def do_greenlet(environ):
    """Which one this is, and what the request before it left in its context."""
    import gevent

    left = LEFT.get()
    LEFT.set("something")
    return "200 OK", [f"{id(gevent.getcurrent())} {left}".encode()]


def do_behind(environ):
    """Leaves something behind that will wake its greenlet when the request is over."""
    import gevent

    me, way = gevent.getcurrent(), environ["QUERY_STRING"]
    if way == "timeout":
        gevent.Timeout(0.1).start()
    elif way == "kill":
        gevent.spawn_later(0.1, gevent.kill, me)
    else:
        STRAY.append(gevent.get_hub().loop.timer(0.1))
        STRAY[-1].start(me.switch)
    return "200 OK", [b"left"]


def do_told(environ):
    return "200 OK", [str(TOLD.is_set()).encode()]


def do_both(environ):
    """Two greenlets that read at a time: the second one is told so."""
    import gevent

    def read():
        try:
            return environ["wsgi.input"].read().decode()
        except (ValueError, RuntimeError) as error:
            TOLD.set()
            return str(error)

    first, second = gevent.spawn(read), gevent.spawn(read)
    gevent.joinall([first, second])
    return "200 OK", [f"{first.value}, {second.value}".encode()]
