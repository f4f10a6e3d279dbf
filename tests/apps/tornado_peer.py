"""What a user sees of Tornado's server of WSGI: `tornado` or `oxicorn`, and what to look at."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import inspect
import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import tornado.httpserver
import tornado.web
import tornado.wsgi
from tornado import netutil
from tornado.ioloop import IOLoop, PeriodicCallback

from apps.telling import outcome, say

if sys.argv[1] == "tornado":
    from tornado.httpserver import HTTPServer
    from tornado.wsgi import WSGIContainer
else:
    from oxicorn.tornado import HTTPServer, WSGIContainer


GATE = threading.Event()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/wait":
        assert GATE.wait(60)
    body = b"hello"
    if path == "/environ":
        body = repr([environ.get(name) for name in environ["QUERY_STRING"].split(",")]).encode()
    elif path == "/read":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/client":
        body = f"{environ['wsgi.url_scheme']} {environ['REMOTE_ADDR']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def serve(application=app, **given):
    return HTTPServer(WSGIContainer(application, ThreadPoolExecutor(4)), **given)


def listen(server, address="127.0.0.1"):
    server.listen(0, address)
    return ports(server)[0]


def ports(server):
    return [sock.getsockname()[1] for sock in server._sockets.values()]


def blocking_ask(port, path="/", headers=(), method="GET", body=None, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.putrequest(method, path)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    data = response.read().decode()
    connection.close()
    return response.status, data


def ask(port, *args, **given):
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, lambda: outcome(blocking_ask, port, *args, **given))


def raw(port, data):
    def exchange():
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(data)
            try:
                return client.makefile("rb").read()
            except ConnectionError:
                return b""

    return asyncio.get_running_loop().run_in_executor(None, exchange)


async def life():
    server = serve()
    port = listen(server)
    say(await ask(port))
    server.stop()
    server.stop()
    # Its address is free at once.
    again = serve()
    again.listen(port, "127.0.0.1")
    say("again", await ask(port))
    again.stop()
    say("stopped", await ask(port))
    for form in ("listen keywords", "bind", "add_sockets", "add_socket", "twice"):
        server = serve()
        if form == "listen keywords":
            server.listen(address="127.0.0.1", port=0, backlog=5, family=socket.AF_INET)
        elif form == "bind":
            server.bind(0, "127.0.0.1")
            server.start()
        elif form == "add_sockets":
            server.add_sockets(netutil.bind_sockets(0, "127.0.0.1"))
        elif form == "add_socket":
            server.add_socket(netutil.bind_sockets(0, "127.0.0.1")[0])
        else:
            listen(server)
            listen(server)
        say(form, [await ask(port) for port in ports(server)])
        server.stop()
    server = serve()
    for address in (None, ""):
        server.listen(0, address)
    families = sorted(sock.family for sock in server._sockets.values())
    say(len(families) >= 2, [(await ask(port))[0] for port in ports(server)])
    server.stop()
    server = serve()
    server.bind(0, "127.0.0.1")
    server.start()
    say("started twice", outcome(server.start))
    server.stop()
    say("taken", outcome(serve().listen, bound(), "127.0.0.1"))
    say("no port", outcome(serve().listen, "a"), outcome(serve().start))
    path = f"/tmp/oxicorn-{port}-{id(server)}"
    server = serve()
    server.add_socket(netutil.bind_unix_socket(path))
    say("unix", await asyncio.get_running_loop().run_in_executor(None, over_unix, path))
    await server.close_all_connections()
    server.stop()


TAKEN = []


def bound():
    TAKEN.append(socket.create_server(("127.0.0.1", 0)))
    return TAKEN[-1].getsockname()[1]


def over_unix(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read().partition(b"\r\n")[0]


async def attributes():
    theirs = tornado.httpserver.HTTPServer(tornado.wsgi.WSGIContainer(app))
    ours = serve()
    say(sorted(n for n in set(dir(theirs)) - set(dir(ours)) if not n.startswith("_")))
    containers = tornado.wsgi.WSGIContainer(app), WSGIContainer(app)
    say(sorted(n for n in set(dir(containers[0])) - set(dir(containers[1]))))
    say(isinstance(ours, tornado.httpserver.HTTPServer), containers[1].wsgi_application is app)
    say(ours.request_callback.wsgi_application is app, ours.xheaders)
    say(ours.protocol, ours.trusted_downstream)
    say(outcome(WSGIContainer.environ, containers[1], request())["PATH_INFO"])


def request():
    return tornado.httputil.HTTPServerRequest(
        method="GET",
        uri="/a?b",
        host="a",
        headers=tornado.httputil.HTTPHeaders(),
        start_line=tornado.httputil.RequestStartLine("GET", "/a?b", "HTTP/1.1"),
    )


async def limits():
    for given, sent in (
        ({"no_keep_alive": True}, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ({"idle_connection_timeout": 1}, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ({"idle_connection_timeout": 1}, b""),
    ):
        port = listen(serve(**given))
        answer = await raw(port, sent)
        say(given, sent[:3], answer.partition(b"\r\n")[0][:15], answer.endswith(b"hello"))
    port = listen(serve(max_header_size=1000))
    say([(await ask(port, "/", [("X-A", "a" * size)]))[:1] == (200,) for size in (500, 2000)])
    port = listen(serve(max_header_size=1000))
    many = [(f"X-{n}", "a" * 100) for n in range(30)]
    say("all of the head", (await ask(port, "/", many))[:1] == (200,))
    port = listen(serve())
    say("60 KiB", (await ask(port, "/", [("X-A", "a" * 60_000)]))[:1] == (200,))
    port = listen(serve(max_body_size=10))
    say([(await ask(port, "/read", (), "POST", b"x" * size))[:1] == (200,) for size in (9, 12)])
    port = listen(serve(body_timeout=1))
    answer = await raw(port, b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    say("body_timeout", b"200" in answer.partition(b"\r\n")[0])
    port = listen(serve())
    chunks = b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    chunks += b"Connection: close\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    say("chunked", (await raw(port, chunks)).endswith(b"2"))


async def unpacking():
    """A body that came packed, where the server is to unpack it."""
    body = gzip.compress(b"x" * 1000)
    for given in ({}, {"decompress_request": True}):
        port = listen(serve(**given))
        fields = [("Content-Encoding", "gzip")]
        status, size = await ask(port, "/read", fields, "POST", body)
        say(given, status, size == "1000")


async def environs():
    port = listen(serve())
    for names in (
        "REQUEST_METHOD,SCRIPT_NAME,PATH_INFO,QUERY_STRING,REMOTE_ADDR,SERVER_PROTOCOL",
        "wsgi.version,wsgi.url_scheme,wsgi.multithread,wsgi.run_once",
        "HTTP_X_A,CONTENT_TYPE,HTTP_CONTENT_TYPE,CONTENT_LENGTH",
    ):
        fields = [("X-A", "1"), ("Content-Type", "a/b")]
        say(await ask(port, f"/environ?{names}", fields))
    say(await ask(port, "/environ?CONTENT_LENGTH,CONTENT_TYPE", (), "POST", b"abc"))
    port = listen(serve(protocol="https"))
    say(await ask(port, "/client"))


async def proxies():
    pairs = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
    for given in (
        {},
        {"xheaders": True},
        {"xheaders": True, "trusted_downstream": ["203.0.113.9"]},
    ):
        port = listen(serve(**given))
        say(given, (await ask(port, "/client", pairs))[1])
        chain = [
            ("X-Forwarded-For", "203.0.113.7, 203.0.113.9"),
            ("X-Forwarded-Proto", "http, https"),
        ]
        say(given, (await ask(port, "/client", chain))[1])
        say(given, (await ask(port, "/client", [("X-Forwarded-For", "nonsense")]))[1])


class Beside(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        self.write("beside")


async def beside():
    """The loop goes on while requests wait for what happens on it."""
    ticks = []
    timer = PeriodicCallback(lambda: ticks.append(1), 10)
    timer.start()
    container = WSGIContainer(app, ThreadPoolExecutor(4))
    site = tornado.web.Application(
        [("/beside", Beside), (".*", tornado.web.FallbackHandler, {"fallback": container})]
    )
    server = HTTPServer(site)
    port = listen(server)
    plain = listen(serve())
    waiting = [ask(port, "/wait"), ask(plain, "/wait")]
    while len(ticks) < 10:
        await asyncio.sleep(0.01)
    say(await ask(port, "/beside"), await ask(port, "/"), await ask(plain, "/"))
    GATE.set()
    say(await asyncio.gather(*waiting))
    say(await ask(port, "/beside"))


class Named(WSGIContainer):
    def environ(self, request):
        return {**super().environ(request), "mine": request.uri}


class Refusing(WSGIContainer):
    def __call__(self, request):
        if request.path == "/secret":
            request.connection.write_headers(
                tornado.httputil.ResponseStartLine("HTTP/1.1", 403, "Forbidden"),
                tornado.httputil.HTTPHeaders({"Content-Length": "0"}),
            )
            request.connection.finish()
            return
        super().__call__(request)


class Counting(HTTPServer):
    count = 0

    def initialize(self, *args, **given):
        super().initialize(*args, **given)
        self.count = 1

    def on_close(self, connection):
        self.count += 1
        super().on_close(connection)


async def overrides():
    port = listen(HTTPServer(Named(app)))
    say(await ask(port, "/environ?mine,wsgi.url_scheme"))
    port = listen(HTTPServer(Refusing(app)))
    say(await ask(port, "/secret"), await ask(port))
    server = Counting(WSGIContainer(app))
    port = listen(server)
    say(await ask(port))
    while server.count < 2:
        await asyncio.sleep(0.01)
    say("counted")
    await server.close_all_connections()
    server.stop()


async def streaming():
    """A list has a length, and an application's own is kept."""
    for result, fields in (
        ([b"a", b"b"], []),
        ([], []),
        ([b"abc"], [("Content-Length", "3")]),
    ):

        def site(environ, start_response, result=result, fields=fields):
            start_response("200 OK", [("Content-Type", "text/plain"), *fields])
            return result

        port = listen(serve(site))
        answer = await raw(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        say(len(result), body, [line for line in head.split(b"\r\n") if b"Length" in line])
    closed = threading.Event()

    class Closing:
        def __iter__(self):
            return iter([b"a"])

        def close(self):
            closed.set()

    def site(environ, start_response):
        start_response("204 No Content", [])
        return Closing()

    port = listen(serve(site))
    say((await ask(port))[0], closed.is_set() or closed.wait(30))


def instance():
    """As scripts have had it for ten years."""
    server = HTTPServer(WSGIContainer(app))
    server.listen(0, "127.0.0.1")
    loop = IOLoop.instance()

    async def later():
        say(await ask(ports(server)[0]))
        loop.stop()

    loop.add_callback(later)
    loop.start()
    say("ended")


if __name__ == "__main__":
    logging.getLogger("tornado").addHandler(logging.NullHandler())
    scenario = globals()[sys.argv[2]]
    asyncio.run(scenario()) if inspect.iscoroutinefunction(scenario) else scenario()
