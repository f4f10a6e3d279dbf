"""Handler classes of `oxicorn.gevent.WSGIServer`; the argument names the scenario."""

from __future__ import annotations

import sys

import gevent
from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import http.client  # noqa: E402
import socket  # noqa: E402

from gevent import pywsgi  # noqa: E402
from gevent.hub import get_hub  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from oxicorn.gevent import SecureEnviron, WSGIHandler, WSGIServer  # noqa: E402


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/body":
        body = environ["wsgi.input"].read()
    elif path == "/slow":
        gevent.sleep(600)
        body = b"slow"
    elif path == "/environ":
        said = type(environ).__name__, environ.get("mine"), environ["SCRIPT_NAME"]
        body = repr(said).encode()
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", path)])
    return [body]


@contextlib.contextmanager
def serving(kind=WSGIServer, **given):
    given.setdefault("log", None)
    server = kind(("127.0.0.1", 0), app, **given)
    server.start()
    yield server
    server.stop()


@contextlib.contextmanager
def connected(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    yield connection
    connection.close()


def dialled(server):
    return socket.create_connection(("127.0.0.1", server.server_port))


def ask(connection, method="GET", path="/", body=None, headers=None):
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response, response.read().decode()


def get(server, path="/"):
    with connected(server) as connection:
        return ask(connection, path=path)


class Lines:
    def __init__(self):
        self.lines = []

    def write(self, text):
        self.lines.append(text)


def logging():
    """Handlers with a line of their own, and with what they may look at in it."""

    class Terse(WSGIHandler):
        def format_request(self):
            assert self.time_finish >= self.time_start > 0
            assert self.client_address[0] == "127.0.0.1"
            assert self.client_address[1] > 0
            assert self.response_length > 100
            agent = self.headers.get("user-agent")
            return f"{self.command} {self.path} {self.code} {self._orig_status} {agent}"

    class Silent(WSGIHandler):
        def log_request(self):
            seen.append((self.requestline, self.status, self.environ["PATH_INFO"]))

    seen, log = [], Lines()
    with serving(handler_class=Terse, log=log) as server, connected(server) as connection:
        for path in ("/", "/a?b"):
            ask(connection, path=path, headers={"User-Agent": "me"})
    print(log.lines)
    with serving(handler_class=Silent, log=log) as server:
        get_hub().handle_error = lambda *args: None
        get(server)
        get(server, "/fail")
    print(seen)


def heads():
    """Handlers that change the response."""

    class Final(WSGIHandler):
        def finalize_headers(self):
            super().finalize_headers()
            self.response_headers = [h for h in self.response_headers if h[0] != b"X-Path"]
            self.response_headers.append((b"X-Final", str(self.code).encode()))

    class Starting(WSGIHandler):
        def start_response(self, status, headers, exc_info=None):
            headers.append(("X-Started", status))
            return super().start_response("203 Changed", headers, exc_info)

    for kind in (Final, Starting):
        with serving(handler_class=kind) as server:
            response, body = get(server)
            names = ("X-Path", "X-Final", "X-Started", "Content-Length")
            print(response.status, body, [response.getheader(name) for name in names])


def environs():
    """environ from the handler, from the server, and of another class."""

    class Handler(WSGIHandler):
        def get_environ(self):
            environ = super().get_environ()
            environ["SCRIPT_NAME"] = "/mount"
            return environ

    class Counting(WSGIServer):
        count = 0

        def get_environ(self):
            self.count += 1
            return {**super().get_environ(), "mine": self.count}

    class Secure(WSGIServer):
        environ_class = SecureEnviron

    with serving(handler_class=Handler, environ={"mine": 1}) as server:
        print(get(server, "/environ")[1])
    with serving(Counting) as server:
        server.count = 0
        print(get(server, "/environ")[1], get(server, "/environ")[1])
    with serving(Secure) as server:
        print(get(server, "/environ")[1])
    with serving() as server:
        server.set_environ({"mine": "later"})
        print(get(server, "/environ")[1])


def failures():
    """What the hub gets says who asked, and no more."""
    seen = []
    get_hub().handle_error = lambda context, kind, error, traceback: seen.append(
        (kind.__name__, "HTTP_COOKIE" in context, repr(context).replace(str(peer), "PORT"))
    )
    with serving() as server, connected(server) as connection:
        connection.connect()
        peer = connection.sock.getsockname()[1]
        headers = {"Cookie": "secret", "Host": "me"}
        print(ask(connection, path="/fail", headers=headers)[0].status)
    print(seen)


class Whole(pywsgi.WSGIHandler):
    """One of gevent's own, which sees everything."""

    def run_application(self):
        assert self.socket.fileno() > 0
        assert self.rfile.readable()
        super().run_application()


def connections():
    """Handlers of whole connections: several requests, bodies, what comes behind the first."""

    class OfOurs(WSGIHandler):
        def handle_one_response(self):
            super().handle_one_response()

    class Touching(WSGIHandler):
        def get_environ(self):
            return {**super().get_environ(), "mine": self.socket.fileno() > 0}

    def made(sock, address, server):
        return pywsgi.WSGIHandler(sock, address, server)

    for kind in (Whole, OfOurs, made):
        log = Lines()
        with serving(handler_class=kind, log=log) as server, connected(server) as connection:
            print([ask(connection, "POST", "/body", b"x" * 300000)[1] == "x" * 300000])
            chunks = ask(connection, "POST", "/body", iter([b"ab", b"cd"]))
            print(chunks[1], ask(connection)[1], ask(connection, path="/environ")[1])
        print(len(log.lines), log.lines[0].startswith("127.0.0.1 - - ["))
    with serving(handler_class=Touching) as server:
        print(get(server, "/environ")[1])
    with serving(handler_class=Whole) as server:
        with dialled(server) as client:
            request = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n"
            client.sendall(b"\r\n" + request % (b"/1", b"keep-alive") + request % (b"/2", b"close"))
            text = client.makefile("rb").read()
            print(text.count(b"HTTP/1.1 200 OK"), text.count(b"hello"))
        with dialled(server) as client:
            # The first head is checked by the engine, whoever serves the connection.
            client.sendall(
                b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            print(client.makefile("rb").readline())


def raw():
    """A server that serves its connections itself."""

    class Echo(WSGIServer):
        def handle(self, sock, address):
            sock.sendall(sock.recv(4) + repr(address[0]).encode())

    class Failing(WSGIServer):
        def handle(self, sock, address):
            raise LookupError("no such thing")

    with serving(Echo) as server, dialled(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        print(client.makefile("rb").read())
    seen = []
    get_hub().handle_error = lambda context, kind, error, traceback: seen.append(kind.__name__)
    with serving(Failing) as server, dialled(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        print(client.makefile("rb").read(), seen)


def stopping():
    """Connections of handlers that are between two requests do not hold up the end."""
    get_hub().exception_stream = None
    with serving(handler_class=Whole, spawn=Pool(10)) as server, connected(server) as connection:
        print(ask(connection)[1], len(server.pool))
        server.stop(timeout=100)
        print(len(server.pool), server.closed)
    with serving(handler_class=Whole, spawn=Pool(10)) as server:
        client = gevent.spawn(get, server, "/slow")
        while not server.pool:
            gevent.sleep(0.01)
        gevent.sleep(0.1)
        server.stop(timeout=0.2)
        print(len(server.pool))
        with contextlib.suppress(Exception):
            client.get()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
