"""What programs see of a gevent WSGI server; the first argument names the module."""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import http.client  # noqa: E402
import importlib  # noqa: E402
import io  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import tempfile  # noqa: E402
from typing import ClassVar  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.hub import get_hub  # noqa: E402
from gevent.pool import Group, Pool  # noqa: E402

from apps.telling import outcome, say  # noqa: E402

peer = importlib.import_module(sys.argv[1])
WSGIServer, WSGIHandler = peer.WSGIServer, peer.WSGIHandler

WAITING, GATE = [], Event()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/late":
        start_response("200 OK", [("Content-Length", "10")])
        return late()
    if path == "/nap":
        gevent.sleep(0.2)
    if path == "/wait":
        WAITING.append(path)
        assert GATE.wait(60)
    if path == "/environ":
        names = environ["QUERY_STRING"].split(",")
        body = repr([environ.get(name) for name in names]).encode()
    elif path == "/errors":
        environ["wsgi.errors"].write("said in the application\n")
        body = b"said"
    elif path == "/read":
        body = environ["wsgi.input"].read()
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def late():
    yield b"half"
    raise LookupError("too late")


def ask(server, path="/", method="GET", body=None, headers=None):
    if isinstance(server.address, tuple):
        host = server.address[0] if server.address[0] not in ("", "0.0.0.0", "::") else "127.0.0.1"
        connection = http.client.HTTPConnection(host, server.address[1], timeout=60)
    else:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(server.address)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        try:
            text = response.read().decode()
        except http.client.IncompleteRead as error:
            text = f"cut after {error.partial!r}"
        return response.status, text


def make(listener=("127.0.0.1", 0), *args, **given):
    given.setdefault("log", None)
    return WSGIServer(listener, app, *args, **given)


def state(server):
    return server.started, server.closed, outcome(lambda: server.server_port) not in (None, 0)


def life():
    server = make()
    say("new", state(server), outcome(lambda: server.server_host), hasattr(server, "socket"))
    server.start()
    say("started", state(server), server.family == socket.AF_INET, server.address[0])
    say("again", outcome(server.start), state(server), ask(server))
    server.stop()
    say("stopped", state(server), hasattr(server, "socket"))
    say("twice", outcome(server.stop), outcome(server.close), state(server))
    server.start()
    say("restarted", state(server), ask(server))
    server.close()
    say("closed", state(server))
    server = make()
    say("never started", outcome(server.stop), state(server))
    with make() as server:
        say("entered", state(server))
        server.start()
        say(ask(server))
    say("left", state(server))
    server = make()
    gevent.spawn_later(0.2, server.stop)
    say("forever", outcome(server.serve_forever), state(server))
    server = make()
    server.start()
    gevent.spawn_later(0.2, server.close)
    say("forever, closed", outcome(server.serve_forever), state(server))
    taken = listening()
    server = make(taken.getsockname())
    say("taken", outcome(server.start), state(server))
    server = make()
    server.start()
    waiting = gevent.spawn(ask, server, "/wait")
    until_waiting(1)
    server.stop()
    GATE.set()
    say("a request at the end", waiting.get())
    server = make()
    greenlet = gevent.spawn(server.serve_forever)
    gevent.sleep(0.1)
    greenlet.kill()
    say("killed", state(server))


def until_waiting(count):
    while len(WAITING) < count:
        gevent.sleep(0.01)


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    sock = socket.socket(family)
    sock.bind(address)
    sock.listen(16)
    return sock


def listeners():
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "s")
    for name, listener in (
        ("tuple", ("127.0.0.1", 0)),
        ("name", ("localhost", 0)),
        ("empty host", ("", 0)),
        ("IPv6", ("::1", 0)),
        ("text", "127.0.0.1:0"),
        ("text of IPv6", "[::1]:0"),
        ("star", "*:0"),
        ("port", 0),
        ("port as text", "0"),
        ("colon", ":0"),
        ("socket", listening()),
        ("unix socket", listening(socket.AF_UNIX, path)),
    ):
        server = make(listener)
        problem = outcome(server.start)
        if problem:
            say(name, problem)
            continue
        host = outcome(lambda server=server: server.server_host)
        if server.family == socket.AF_UNIX:
            host = "path"
        say(name, server.family, host, ask(server), repr(server).partition(" ")[0])
        server.stop()
    for listener in (None, "a:b", "nowhere", b"127.0.0.1:0", ("127.0.0.1",), 1.5):
        say(listener, outcome(lambda listener=listener: make(listener) and 0))
    with contextlib.closing(WSGIServer.get_listener(("127.0.0.1", 0), 5, socket.AF_INET)) as sock:
        say("get_listener", sock.getsockname()[0])
    say("backlog", outcome(lambda: make(listening(), backlog=5)), make(backlog=7).backlog)
    say("backlog", make().backlog, make().reuse_addr)


def spawns():
    for name, spawn in (
        ("default", "default"),
        ("pool", Pool(2)),
        ("number", 2),
        ("raw", gevent.spawn_raw),
        ("spawn", gevent.spawn),
        ("none", None),
    ):
        server = make(spawn=spawn)
        server.start()
        kind = type(server.pool).__name__
        waits = [gevent.spawn(ask, server, "/nap" if spawn else "/") for _ in range(5)]
        say(name, kind, server.full(), [wait.get() for wait in waits])
        server.stop()
    for spawn in ("pool", 1.5, -1, Group()):
        shown = type(spawn).__name__
        say(shown, outcome(lambda spawn=spawn: make(spawn=spawn) and 0))
    server = make(spawn=Pool(3))
    server.start()
    waits = [gevent.spawn(ask, server, "/wait") for _ in range(3)]
    until_waiting(3)
    say("full", server.full(), server.pool.free_count(), len(server.pool))
    gevent.spawn_later(0.1, GATE.set)
    server.stop(timeout=30)
    say("stopped", [wait.get() for wait in waits], len(server.pool))


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def logs():
    say(make(log="default").log is sys.stderr, make().error_log is sys.stderr)
    for name in ("log", "error_log"):
        silent = getattr(make(**{name: None}), name)
        say(name, silent.write("a"), silent.flush(), silent.writelines(["a"]))
    stream = io.StringIO()
    logger = logging.getLogger("of the test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s"))
    logger.addHandler(handler)
    server = make(log=logger, error_log=logger)
    say(type(server.log).__name__, type(server.error_log).__name__)
    server.log.propagate = False
    say("through", server.log.level, server.log.name)
    server.start()
    ask(server)
    ask(server, "/errors")
    gevent.sleep(0.1)
    server.stop()
    say(stream.getvalue().splitlines())
    lines, errors = Lines(), Lines()
    server = make(log=lines, error_log=errors)
    say(server.log is lines, server.error_log is errors, server.environ["wsgi.errors"] is errors)
    server.start()
    say(ask(server, "/errors"))
    gevent.sleep(0.1)
    server.stop()
    say(lines.text.count("GET /errors"), repr(errors.text))
    say(outcome(lambda: make(log=object()).log.__class__.__name__))


def environs():
    given = {"mine": 1}
    server = make(environ=given)
    say(sorted(given), server.environ["mine"], "wsgi.errors" in server.environ)
    say(server.base_env["wsgi.version"], server.base_env["GATEWAY_INTERFACE"])
    server.start()
    say(ask(server, "/environ?mine,SCRIPT_NAME,wsgi.multithread,wsgi.multiprocess,wsgi.run_once"))
    say(ask(server, "/environ?wsgi.url_scheme,wsgi.version,SERVER_PROTOCOL,GATEWAY_INTERFACE"))
    say(ask(server, "/environ?REMOTE_ADDR,REQUEST_METHOD,QUERY_STRING,CONTENT_TYPE"))
    say(ask(server, "/environ?wsgi.input_terminated,HTTPS,PATH_INFO"))
    two = {"X-A": "1", "X_A": "2", "Content-Type": "a/b"}
    say(ask(server, "/environ?HTTP_X_A,CONTENT_TYPE,HTTP_CONTENT_TYPE", headers=two))
    server.stop()
    server = make(environ={"wsgi.multiprocess": True, "SERVER_NAME": "a.example"})
    server.start()
    say(server.max_accept, ask(server, "/environ?wsgi.multiprocess,SERVER_NAME"))
    server.stop()

    class Mine(WSGIServer):
        base_env: ClassVar = {**WSGIServer.base_env, "mine": "base"}
        calls = 0

        def update_environ(self):
            self.calls += 1
            assert self.address[1] > 0
            super().update_environ()
            self.environ["mine too"] = "updated"

    server = Mine(("127.0.0.1", 0), app, log=None)
    say(server.calls)
    server.start()
    say(server.calls, ask(server, "/environ?mine,mine%20too"), ask(server, "/environ?mine"))
    server.set_environ({"mine": "set"})
    say(ask(server, "/environ?mine"))
    server.stop()
    server = make()
    copy = server.get_environ()
    copy["changed"] = True
    say("changed" in server.environ, type(copy).__name__, server.environ_class.__name__)
    server = make()
    server.start()
    server.application = lambda environ, start: start("201 Other", []) and []
    say("another application", ask(server)[0])
    server.stop()
    say("without", outcome(lambda: WSGIServer(("127.0.0.1", 0), log=None) and 0))

    class With(WSGIServer):
        def application(self, environ, start_response):
            return app(environ, start_response)

    server = With(("127.0.0.1", 0), log=None)
    server.start()
    say("a method", ask(server))
    server.stop()


def failures():
    seen = []
    get_hub().handle_error = lambda context, kind, error, traceback: seen.append(
        (type(context).__name__, kind.__name__, traceback is not None)
    )
    get_hub().exception_stream = None
    server = make()
    server.start()
    for path in ("/fail", "/late", "/exit", "/"):
        said = outcome(ask, server, path)
        # The page of a failure is each server's own.
        say(path, said if said[0] == 200 else said[0], seen)
        seen.clear()
    server.stop()


def bodies():
    server = make()
    server.start()
    say(ask(server, "/read", "POST", b"abc"))
    say(ask(server, "/read", "POST", iter([b"ab", b"cd"])))
    say(ask(server, "/", "HEAD"), ask(server, "/", "OPTIONS"))
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").read()
        say(answer.partition(b"\r\n")[0].split()[1], answer.endswith(b"hello"))
    server.stop()


def connections():
    """Who is told what of connections, where whole connections are a server's own."""

    class Own(WSGIServer):
        def handle(self, sock, address):
            calls.append(address[0])
            return super().handle(sock, address)

    calls = []
    server = Own(("127.0.0.1", 0), app, log=None)
    server.start()
    say(ask(server), calls)
    server.stop()
    server = make(handler_class=WSGIHandler)
    server.set_handle(server.handle)
    server.start()
    say(ask(server))
    server.stop()


if __name__ == "__main__":
    globals()[sys.argv[2]]()
