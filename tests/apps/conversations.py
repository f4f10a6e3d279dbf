"""Connections that the application takes over: with simple-websocket, and byte by byte."""

from __future__ import annotations

import os
import threading

LOCK = threading.Lock()
COUNTS = {"open": 0, "calls": 0, "most_calls": 0, "sent": 0}
GO_ON = threading.Event()

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def count(name, by):
    with LOCK:
        COUNTS[name] += by
        COUNTS["most_calls"] = max(COUNTS["most_calls"], COUNTS["calls"])


def app(environ, start_response):
    function = globals().get("do_" + environ["PATH_INFO"].strip("/"), do_counts)
    return function(environ, start_response)


def answer(start_response, status, body):
    start_response(status, [("Content-Type", "text/plain")])
    return [body]


def do_counts(environ, start_response):
    return answer(start_response, "200 OK", repr(COUNTS).encode())


def do_go_on(environ, start_response):
    GO_ON.set()
    return answer(start_response, "200 OK", b"gone on")


def do_has_socket(environ, start_response):
    names = ("gunicorn.socket", "werkzeug.socket", "wsgi.websocket")
    said = [name in environ for name in names], environ["wsgi.multithread"]
    return answer(start_response, "200 OK", repr(said).encode())


def do_descriptors(environ, start_response):
    count = len(os.listdir("/proc/self/fd"))
    return answer(start_response, "200 OK", str(count).encode())


def do_refuse(environ, start_response):
    """Sees the socket, and answers as if there were none."""
    environ["gunicorn.socket"].fileno()
    return answer(start_response, "400 Bad Request", b"not today")


def do_echo(environ, start_response):
    """simple-websocket, as its own documentation uses it."""
    from simple_websocket import ConnectionClosed, Server

    ws = Server.accept(environ, max_message_size=64 << 20)
    count("open", 1)
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass
    finally:
        count("open", -1)
    return []


def do_stop(environ, start_response):
    """Ends as the libraries do under gunicorn."""
    environ["gunicorn.socket"].sendall(SWITCH + b"and that is all")
    raise StopIteration


def do_stop_later(environ, start_response):
    """The same in a generator, where it becomes a RuntimeError."""
    environ["gunicorn.socket"].sendall(SWITCH + b"and that is all")
    raise StopIteration
    yield b""


def do_answer_too(environ, start_response):
    """Answers after all, as under Werkzeug's own server."""
    environ["gunicorn.socket"].sendall(SWITCH + b"and that is all")
    return answer(start_response, "200 OK", b"not to be seen")


def do_fail(environ, start_response):
    environ["gunicorn.socket"].sendall(SWITCH + b"and that is all")
    raise LookupError("in the middle of it")


def do_bytes(environ, start_response):
    """Sends back what comes, and after the end of it says so."""
    sock = environ["gunicorn.socket"]
    sock.sendall(SWITCH)
    count("open", 1)
    try:
        while data := sock.recv(65536):
            sock.sendall(data)
        sock.sendall(b"the end")
    finally:
        count("open", -1)
    return []


def do_flood(environ, start_response):
    """Sends as many bytes as the query says."""
    sock = environ["gunicorn.socket"]
    sock.sendall(SWITCH)
    left = int(environ["QUERY_STRING"])
    while left:
        left -= sock.send(b"x" * min(left, 65536))
        count("sent", 65536)
    return []


def do_deaf(environ, start_response):
    """Reads nothing before /go_on, then everything."""
    sock = environ["gunicorn.socket"]
    sock.sendall(SWITCH)
    GO_ON.wait(60)
    total = 0
    while data := sock.recv(1 << 20):
        total += len(data)
    sock.sendall(str(total).encode())
    return []


def do_slow(environ, start_response):
    """An ordinary answer, which counts who else is in the application."""
    count("calls", 1)
    GO_ON.wait(0.5)
    count("calls", -1)
    return answer(start_response, "200 OK", b"slow")
