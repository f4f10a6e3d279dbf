"""Programs with `oxicorn.eventlet.server`; the argument names one, its output tells."""

from __future__ import annotations

import sys
import warnings

import eventlet

eventlet.monkey_patch()

import http.client  # noqa: E402
import ssl  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import websocket  # noqa: E402
from eventlet.greenpool import GreenPool  # noqa: E402
from eventlet.websocket import WebSocketWSGI  # noqa: E402

from apps import conversations  # noqa: E402
from oxicorn.eventlet import server  # noqa: E402
from support.certificates import Authority  # noqa: E402

DONE = []
SERVER = None


class Log:
    """Something with `write`."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def app(environ, start_response):
    path = environ["PATH_INFO"]
    environ["eventlet.posthooks"].append((note, (path,), {"by": "hook"}))
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/sleep":
        eventlet.sleep(0.2)
    body = b"hello"
    if path == "/environ":
        extra = environ["headers_raw"][-1], environ["mine"], environ["wsgi.multithread"]
        body = repr(extra).encode()
    elif path == "/read":
        body = environ["eventlet.input"].read()
    start_response("200 OK", [("x-as-it-is", "1")])
    return [body]


def note(environ, path, by):
    DONE.append(f"{environ['REQUEST_METHOD']} {path} {by}")


def begin(site=app, **arguments):
    """A server in a green thread; gives its port."""
    global SERVER
    sock = eventlet.listen(("127.0.0.1", 0))
    arguments.setdefault("log", Log())
    SERVER = eventlet.spawn(server, sock, site, **arguments)
    return sock.getsockname()[1]


def ask(port, path="/", headers=(), body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, dict(headers))
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, data.decode()


def serving():
    port = begin(environ={"mine": 1})
    print(list(GreenPool().imap(ask, [port] * 3, ["/sleep"] * 3)))
    print(ask(port, "/environ", [("X-A", "b")])[1])
    print(ask(port, "/read", body="body")[1])
    print(DONE[-1])


def pools():
    for arguments in ({"max_size": 1}, {"custom_pool": GreenPool(1)}):
        port = begin(**arguments)
        print(list(GreenPool().imap(ask, [port] * 3, ["/sleep", "/", "/"])))


def logs():
    log = Log()
    port = begin(log=log, log_x_forwarded_for=True)
    ask(port, "/a?b=c", [("X-Forwarded-For", "203.0.113.9\xe4")])
    ask(port, "/fail")
    eventlet.sleep(0.1)
    print(log.text, end="")
    quiet = Log()
    port = begin(log=quiet, log_output=False)
    ask(port)
    print(quiet.text.count("GET"))
    own = Log()
    port = begin(log=own, log_format="%(status_code)s of %(client_ip)s")
    ask(port)
    eventlet.sleep(0.1)
    print(own.text.splitlines()[-1])


def stopping():
    port = begin()
    client = eventlet.spawn(ask, port, "/sleep")
    eventlet.sleep(0.1)
    SERVER.kill()
    print(client.wait())
    try:
        eventlet.connect(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        print("refused")


@WebSocketWSGI
def echo(ws):
    """As eventlet's own documentation has it."""
    while (message := ws.wait()) is not None:
        ws.send(message)


def site(environ, start_response):
    """eventlet's own websockets, simple-websocket, and neither."""
    path = environ["PATH_INFO"]
    if path == "/own":
        return echo(environ, start_response)
    if path == "/echo":
        return conversations.app(environ, start_response)
    try:
        environ["eventlet.input"].get_socket()
    except RuntimeError as error:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(error).encode()]


def websockets():
    log = Log()
    port = begin(site, log=log, max_size=1)
    for path in ("/own", "/echo"):
        url = f"ws://127.0.0.1:{port}{path}"
        client = websocket.create_connection(url, timeout=60)
        for size in (1, 126, 70_000, 3_000_000):
            client.send("x" * size)
            assert client.recv() == "x" * size
        # In the pool there is room for a request, and for another WebSocket there is none.
        print(ask(port))
        try:
            websocket.create_connection(url, timeout=60)
        except websocket.WebSocketBadStatusException as error:
            print(error.status_code, error.resp_headers["retry-after"])
        client.close()
        while f'GET {path} HTTP/1.1" 101 ' not in log.text:
            eventlet.sleep(0.01)
    client = websocket.create_connection(url, timeout=60)
    SERVER.kill()
    try:
        client.recv()
    except websocket.WebSocketConnectionClosedException:
        print("closed")


def limits():
    port = begin(url_length_limit=100)
    print(ask(port, "/" + "a" * 200)[0])
    for arguments in ({"keepalive": False}, {"keepalive": 0.2}, {"socket_timeout": 0.2}):
        port = begin(**arguments)
        with eventlet.connect(("127.0.0.1", port)) as sock:
            if "keepalive" in arguments:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            print(sock.makefile("rb").read().partition(b"\r\n")[0])


def secure():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        chain, key = authority.issue("127.0.0.1")
        port = begin(certfile=str(chain), keyfile=str(key))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=60, context=authority.context()
        )
        for _ in range(2):
            connection.request("POST", "/read", b"x" * 100_000)
            print(len(connection.getresponse().read()))
        connection.close()


def refusals():
    sock = eventlet.listen(("127.0.0.1", 0))
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(sock, server_side=True)
    for listener, arguments in (
        (sock, {"protocol": object}),
        (sock, {"server_event": object()}),
        (sock, {"max_http_version": "HTTP/1.0"}),
        (secure, {}),
    ):
        try:
            server(listener, app, **arguments)
        except TypeError as error:
            print(error)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin(debug=True, minimum_chunk_size=1, capitalize_response_headers=True)
        eventlet.sleep(0)
    print([str(warning.message).partition(":")[0] for warning in caught])


if __name__ == "__main__":
    globals()[sys.argv[1]]()
