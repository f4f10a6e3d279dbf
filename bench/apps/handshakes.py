"""A client that shakes hands for each request, and prints as JSON what it saw.

`handshakes.py PORT CERTIFICATE SECONDS CONNECTIONS new|resumed`: so many connections at a time,
each closed by the server after one answer, which must be that of `hello`. With `new` no connection
offers a session; with `resumed` each offers that of the one before, and the server must take it.
"""

import contextlib
import json
import selectors
import socket
import ssl
import sys
import time
from collections import deque

import apps

PATIENCE_SECS = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

port, certificate, seconds, connections, kind = sys.argv[1:]
address, resumes = ("127.0.0.1", int(port)), kind == "resumed"
context = ssl.create_default_context(cafile=certificate)
context.minimum_version = ssl.TLSVersion.TLSv1_3
until = time.perf_counter() + float(seconds)
times_ms = []


class Trouble(Exception):
    """What makes the figures worthless."""


def exchanges():
    """One connection after the other. Gives a socket and an event to wait for; or `None` between
    two, as a server on the same core may answer so soon that nothing is ever waited for."""
    session = None
    while time.perf_counter() < until:
        began = time.perf_counter()
        plain = socket.create_connection(address, PATIENCE_SECS)
        plain.setblocking(False)
        with context.wrap_socket(
            plain, server_hostname="127.0.0.1", do_handshake_on_connect=False, session=session
        ) as client:
            yield from patiently(client, client.do_handshake)
            if client.session_reused != (session is not None):
                raise Trouble("the server did not resume the session")
            yield from patiently(client, client.send, REQUEST)
            answer = b""
            while piece := (yield from patiently(client, client.recv, 65536)):
                answer += piece
            check(answer)
            if resumes:
                session = client.session
                if session is None or not session.has_ticket:
                    raise Trouble("the server gave no ticket")
        times_ms.append(1000 * (time.perf_counter() - began))
        yield None


def patiently(client, call, *arguments):
    """A call of a socket that does not block, made again when it may go on."""
    while True:
        try:
            return call(*arguments)
        except ssl.SSLWantReadError:
            yield client, selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            yield client, selectors.EVENT_WRITE


def check(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or body != apps.HELLO:
        raise Trouble(f"wrong answer: {answer[:80]!r}")


def run():
    """All connections until the time is over and each has its answer."""
    with selectors.DefaultSelector() as selector:
        turns = deque(exchanges() for _ in range(int(connections)))
        while turns or selector.get_map():
            ready = selector.select(0 if turns else PATIENCE_SECS)
            if not ready and not turns:
                raise Trouble(f"no answer for {PATIENCE_SECS} s")
            for key, _ in ready:
                selector.unregister(key.fileobj)
                turns.append(key.data)
            for _ in range(len(turns)):
                lane = turns.popleft()
                with contextlib.suppress(StopIteration):
                    if wanted := next(lane):
                        selector.register(*wanted, lane)
                    else:
                        turns.append(lane)


trouble, began = "", time.perf_counter()
try:
    run()
except (Trouble, OSError) as error:
    trouble = str(error) or repr(error)
took = time.perf_counter() - began
print(json.dumps({"trouble": trouble, "seconds": took, "times_ms": sorted(times_ms)}))
