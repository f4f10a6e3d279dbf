"""Programs with `oxicorn.tornado`; the argument names one, its output tells what happened."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import socket
import ssl
import sys
import tempfile
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import tornado.httpserver
import tornado.web
import websocket
from tornado.ioloop import IOLoop

from apps import conversations
from oxicorn.tornado import HTTPServer, WSGIContainer
from support.certificates import Authority

GATE = threading.Event()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/wait":
        assert GATE.wait(60)
    body = b"hello"
    if path == "/where":
        body = threading.current_thread().name.encode()
    elif path == "/client":
        body = f"{environ['wsgi.url_scheme']} {environ['REMOTE_ADDR']}".encode()
    elif path == "/names":
        names = ("wsgi.multithread", "wsgi.multiprocess", "HTTP_COOKIE", "HTTP_X_A", "mine")
        body = repr([environ.get(name) for name in names]).encode()
    elif path == "/read":
        body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def listen(server):
    """On a free port; gives it."""
    server.listen(0, "127.0.0.1")
    [sock] = server._sockets.values()
    return sock.getsockname()[1]


def ask(port, path="/", headers=(), method="GET", body=None, context=None):
    """A request from another thread than the loop's, with all of its answer."""

    def exchange():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        if context is not None:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, data.decode()

    return asyncio.get_running_loop().run_in_executor(None, exchange)


def dial(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    return sock


async def responsive():
    """The loop lives while requests wait for it, and what they wait for happens on it."""
    port = listen(HTTPServer(WSGIContainer(app)))
    waiting = [ask(port, "/wait") for _ in range(3)]
    IOLoop.current().call_later(0.1, GATE.set)
    print(await asyncio.gather(*waiting))


async def executors():
    pool = ThreadPoolExecutor(2, thread_name_prefix="mine")
    for executor in (None, pool, "inline"):
        port = listen(HTTPServer(WSGIContainer(app, executor)))
        status, name = await ask(port, "/where")
        print(status, name.rpartition("_")[0] or name.rpartition("-")[0] or name)
        print((await ask(port, "/names"))[1])


async def proxies():
    fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
    others = [("X-Real-Ip", "203.0.113.8"), ("X-Scheme", "https")]
    for arguments in (
        {},
        {"xheaders": True},
        {"xheaders": True, "trusted_downstream": ["203.0.113.9"]},
        {"xheaders": {"for": "X-Real-Ip", "proto": "X-Scheme"}},
        {"protocol": "https"},
    ):
        port = listen(HTTPServer(WSGIContainer(app), **arguments))
        for headers in (fields, others):
            print((await ask(port, "/client", headers))[1], end="; ")
        chain = [("X-Forwarded-For", "203.0.113.7, 203.0.113.9")]
        print((await ask(port, "/client", chain))[1])


async def limits():
    port = listen(HTTPServer(WSGIContainer(app), max_body_size=10))
    print(await ask(port, "/read", method="POST", body=b"x" * 10))
    print((await ask(port, "/read", method="POST", body=b"x" * 11))[0])
    port = listen(HTTPServer(WSGIContainer(app), max_buffer_size=20))
    print((await ask(port, "/read", method="POST", body=b"x" * 21))[0])
    port = listen(HTTPServer(WSGIContainer(app), max_header_size=1000))
    print((await ask(port, "/", [("X-A", "a" * 900)]))[0])
    print((await ask(port, "/", [("X-A", "a" * 1100)]))[0])
    loop = asyncio.get_running_loop()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    for arguments, sent in (
        ({"body_timeout": 0.2}, head),
        ({"idle_connection_timeout": 0.2}, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ({"no_keep_alive": True}, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ):
        port = listen(HTTPServer(WSGIContainer(app), **arguments))
        with dial(port) as sock:
            sock.sendall(sent)
            answer = await loop.run_in_executor(None, sock.makefile("rb").read)
            print(answer.partition(b"\r\n")[0].decode(), answer.endswith(b"hello"))


async def stopping():
    server = HTTPServer(WSGIContainer(app))
    port = listen(server)
    loop = asyncio.get_running_loop()
    idle = dial(port)
    idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await loop.run_in_executor(None, idle.recv, 4096)
    waiting = ask(port, "/wait")
    while not server._serving[0]._driver.running:
        await asyncio.sleep(0.01)
    server.stop()
    server.stop()
    print(await loop.run_in_executor(None, idle.recv, 4096))
    try:
        dial(port)
    except ConnectionRefusedError:
        print("refused")
    GATE.set()
    print(await waiting)
    await server.close_all_connections()
    print("closed")


async def cutting():
    """A response that does not end is cut."""
    server = HTTPServer(WSGIContainer(app))
    port = listen(server)
    waiting = ask(port, "/wait")
    while not server._serving[0]._driver.running:
        await asyncio.sleep(0.01)
    await server.close_all_connections()
    try:
        await waiting
    except (http.client.HTTPException, ConnectionError) as error:
        print(type(error).__name__)
    GATE.set()


async def secure():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        chain, key = authority.issue("127.0.0.1")
        options = {"certfile": str(chain), "keyfile": str(key)}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        for given in (options, context):
            port = listen(HTTPServer(WSGIContainer(app), ssl_options=given))
            for path in ("/client", "/read"):
                body = b"x" * 100_000
                status, told = await ask(port, path, (), "POST", body, authority.context())
                print(status, len(told), told[:15])


async def refusals():
    for arguments in (
        {"ssl_options": {"certfile": "a"}},
        {"protocol": "ftp"},
    ):
        try:
            HTTPServer(WSGIContainer(app), **arguments)
        except (TypeError, ValueError) as error:
            print(error)
    for executor in (ProcessPoolExecutor(1), "pool"):
        try:
            WSGIContainer(app, executor)
        except (TypeError, ValueError) as error:
            print(error)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        HTTPServer(WSGIContainer(app), chunk_size=10)
    print([(str(warning.message), warning.filename == __file__) for warning in caught])


async def logs():
    logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(message)s", level=20)
    port = listen(HTTPServer(WSGIContainer(app)))
    await ask(port, "/a?b=c")
    await ask(port, "/fail")


class Named(WSGIContainer):
    """Says more in environ than ours does."""

    def environ(self, request):
        return {**super().environ(request), "mine": request.method}


async def overridden():
    port = listen(HTTPServer(Named(app)))
    print((await ask(port, "/names", [("Cookie", "a=1"), ("Cookie", "b=2"), ("X_A", "1")]))[1])


def forked():
    server = HTTPServer(WSGIContainer(by_process))
    server.bind(int(sys.argv[2]), "127.0.0.1")
    server.start(2)
    loop = IOLoop.current()

    async def leave():
        server.stop()
        await server.close_all_connections()
        loop.stop()

    app.quit = lambda: loop.add_callback(leave)
    loop.start()


def by_process(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/quit":
        app.quit()
    return [f"{os.getpid()} {environ['wsgi.multiprocess']}".encode()]


class Beside(tornado.web.RequestHandler):
    """A handler of Tornado's own."""

    async def get(self):
        await asyncio.sleep(0)
        self.write("beside")


async def websockets():
    """Beside the container's one thread, or the loop's own, and cut by the end of the program."""
    loop = asyncio.get_running_loop()
    for executor in (ThreadPoolExecutor(1), "inline"):
        server = HTTPServer(WSGIContainer(conversations.app, executor), websocket_limit=2)
        port = listen(server)

        def connect(port=port):
            return websocket.create_connection(f"ws://127.0.0.1:{port}/echo", timeout=60)

        clients = [await loop.run_in_executor(None, connect) for _ in range(2)]
        for client in clients:
            client.send("x" * 1_000_000)
        for client in clients:
            text = await loop.run_in_executor(None, client.recv)
            print(len(text), (await ask(port, "/counts"))[0])
        try:
            await loop.run_in_executor(None, connect)
        except websocket.WebSocketBadStatusException as error:
            print(error.status_code, error.resp_headers["retry-after"])
        clients[0].close()
        await server.close_all_connections()
        try:
            await loop.run_in_executor(None, clients[1].recv)
        except websocket.WebSocketConnectionClosedException:
            print("closed")
    port = listen(HTTPServer(WSGIContainer(conversations.app)))
    KEPT.append(await loop.run_in_executor(None, connect, port))


KEPT = []
YIELDED = 0


def pieces(environ, start_response):
    """For Tornado's own server."""
    global YIELDED
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
        return stream()
    if path == "/written":
        write = start_response("200", [])
        write(b"wr")
        return [b"", b"itten"]
    if path == "/replaced":
        try:
            start_response("200 OK", [])
            raise LookupError
        except LookupError:
            start_response("503 Busy", [], sys.exc_info())
        return []
    if path == "/late":
        return late(start_response)
    if path == "/text":
        start_response("200 OK", [])
        return ["text"]
    if path == "/silent":
        return []
    return app(environ, start_response)


def stream():
    global YIELDED
    try:
        while YIELDED < 400:
            YIELDED += 1
            yield b"x" * 65536
    finally:
        print("ended", flush=True)


def late(start_response):
    start_response("200 OK", [("Content-Length", "10")])
    yield b"half"
    raise LookupError("too late")


async def parsed():
    """Our container in Tornado's own server, beside its handlers."""
    logging.getLogger("tornado.application").addHandler(logging.NullHandler())
    executor = "inline" if sys.argv[2] == "inline" else None
    container = WSGIContainer(pieces, executor)
    routes = [("/beside", Beside), (".*", tornado.web.FallbackHandler, {"fallback": container})]
    for kind in (tornado.httpserver.HTTPServer, HTTPServer):
        server = kind(tornado.web.Application(routes))
        port = listen(server)
        for path in ("/", "/beside", "/fail", "/written", "/replaced", "/text", "/silent"):
            print(path, await ask(port, path))
        print(await ask(port, "/", method="HEAD"))
        fields = [("Cookie", "a=1"), ("Cookie", "b=2"), ("X_A", "1")]
        print((await ask(port, "/names", fields))[1])
        try:
            await ask(port, "/late")
        except (http.client.HTTPException, ConnectionError) as error:
            print(type(error).__name__)
    # The application waits for its client.
    with dial(port) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        before = -1
        while before != YIELDED or not YIELDED:
            before = YIELDED
            await asyncio.sleep(0.3)
        print(YIELDED < 400, await ask(port, "/beside"))
        read = sock.makefile("rb").read
        data = await asyncio.get_running_loop().run_in_executor(None, read)
    print(data.count(b"x" * 65536) or data.count(b"x"), data.endswith(b"0\r\n\r\n"))


if __name__ == "__main__":
    scenario = globals()[sys.argv[1]]
    if asyncio.iscoroutinefunction(scenario):
        asyncio.run(scenario())
    else:
        scenario()
