"""Streams what TCP_NODELAY is on each connected TCP socket of its process, in pieces."""

import os
import socket
import stat


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            continue
        with socket.socket(fileno=copy) as sock:
            try:
                sock.getpeername()
                option = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            except OSError:
                continue
            yield f"{option}\n".encode()
