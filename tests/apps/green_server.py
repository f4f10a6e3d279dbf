"""A program with `oxicorn.gevent.WSGIServer`; its argument names the scenario, its output tells."""

from __future__ import annotations

import sys

import gevent
from gevent import monkey

monkey.patch_all()

import http.client  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from gevent.event import Event  # noqa: E402
from gevent.hub import get_hub  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from oxicorn.gevent import WSGIServer  # noqa: E402
from support.certificates import Authority  # noqa: E402


class Log:
    """Something with `write`."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


# A slow request is being answered.
entered = Event()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise LookupError("no such thing")
    if environ["PATH_INFO"] == "/slow":
        entered.set()
        gevent.sleep(float(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/environ":
        body = repr({key: environ.get(key) for key in ("mine", "SCRIPT_NAME")}).encode()
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def get(server, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body.decode()


def listening():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(16)
    return sock


def spawns():
    for spawn in ("default", Pool(5), 5, gevent.spawn, gevent.spawn_raw, None):
        with WSGIServer(("127.0.0.1", 0), app, spawn=spawn, log=None) as server:
            server.start()
            print(get(server))


def listeners():
    for listener in (("127.0.0.1", 0), "127.0.0.1:0", "0", 0, listening()):
        server = WSGIServer(listener, app, log=None)
        server.start()
        print(get(server), server.started, server.closed)
        server.stop()
        print(server.started, server.closed)


def environ():
    server = WSGIServer(("127.0.0.1", 0), app, log=None, environ={"mine": 1})
    server.start()
    print(get(server, "/environ"))
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        print(client.makefile("rb").readline())
    server.stop()


def logs():
    log = Log()
    server = WSGIServer(("127.0.0.1", 0), app, log=log)
    server.start()
    get(server, "/a?b=c")
    gevent.sleep(0.1)
    print(log.text, end="")
    server.stop()


def errors():
    seen = []
    get_hub().handle_error = lambda context, kind, error, traceback: seen.append(
        (context["PATH_INFO"], kind.__name__, str(error), traceback is not None)
    )
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(get(server, "/fail")[0], seen)
    server.stop()


def stopping():
    # A request that runs is waited for, one that takes longer than the time is killed.
    server = WSGIServer(("127.0.0.1", 0), app, spawn=10, log=None)
    server.start()
    client = gevent.spawn(get, server, "/slow?0.5")
    assert entered.wait(60)
    entered.clear()
    server.stop(timeout=60)
    print(client.get())
    server = WSGIServer(("127.0.0.1", 0), app, spawn=10, log=None)
    server.start()
    client = gevent.spawn(get, server, "/slow?600")
    assert entered.wait(60)
    get_hub().exception_stream = None
    server.stop(timeout=0.2)
    print(client.get()[0], len(server.pool))


def forever():
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    gevent.spawn_later(0.3, server.stop)
    server.serve_forever()
    print(server.started)


def pausing():
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    server.stop_accepting()
    client = gevent.spawn(get, server)
    gevent.sleep(0.3)
    print(client.ready())
    server.start_accepting()
    print(client.get())
    server.stop()


def secure():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        chain, key = authority.issue("127.0.0.1")
        files = {"certfile": str(chain), "keyfile": str(key), "ssl_version": 2}
        server = WSGIServer(("127.0.0.1", 0), tls_app, log=None, **files)
        server.start()
        print(server.ssl_enabled)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.server_port, timeout=60, context=authority.context()
        )
        for _ in range(2):
            connection.request("POST", "/", b"x" * 100_000)
            print(connection.getresponse().read().decode())
        connection.close()
        server.stop()


def tls_app(environ, start_response):
    body = environ["wsgi.input"].read()
    names = ("wsgi.url_scheme", "HTTPS", "SSL_PROTOCOL")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr((*map(environ.get, names), len(body))).encode()]


def refusals():
    class Closer(WSGIServer):
        def do_handle(self, *args):
            """Never called, so not accepted."""

    for kind, arguments in (
        (WSGIServer, {"keyfile": "a"}),
        (WSGIServer, {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}),
        (WSGIServer, {"certfile": "a", "hand_shake": True}),
        (Closer, {}),
    ):
        try:
            kind(("127.0.0.1", 0), app, **arguments)
        except TypeError as error:
            print(error)
    try:
        WSGIServer(listening(), app, backlog=5)
    except TypeError as error:
        print(error)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
