"""The worker class of gevent-websocket: a word of the command changes, no application does."""

from __future__ import annotations

import ast
import contextlib

import pytest
import websocket

from support import eventually
from support.socketio import talking
from support.websocket import FIELDS, opening

pytest.importorskip("gevent")
pytest.importorskip("geventwebsocket")

CLASS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"


@pytest.fixture
def site(serve):
    return serve("gevent_websockets", "-k", CLASS)


@contextlib.contextmanager
def connected(server, path="/", **given):
    client = websocket.create_connection(f"ws://127.0.0.1:{server.port}{path}", timeout=60, **given)
    yield client
    client.shutdown()


@pytest.mark.parametrize("name", [CLASS, "flask_sockets.worker", "geventwebsocket"])
def test_messages_come_back(serve, dial, name):
    server = serve("gevent_websockets", "-k", name)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(5)]
        for size in (1, 126, 70_000, 2_000_000):
            for client in clients:
                client.send("x" * size)
                assert client.recv() == "x" * size
        clients[0].close()
        with dial(server) as peer:
            # An ordinary request is the engine's, connection and all.
            for _ in range(2):
                assert peer.get("/").body == b"[False, False]"
    assert server.stop() == 0
    assert "Using worker: geventwebsocket" in server.log()
    assert "Traceback" not in server.log()
    eventually(lambda: server.access_log().count('"GET / HTTP/1.1" 101 ') == 5)


def test_what_the_websocket_knows(site):
    with connected(site, "/about", origin="http://a.example") as client:
        said = ast.literal_eval(client.recv())
        assert said == ("/about", "13", "http://a.example", None, "127.0.0.1", True, True, "13")
        opcode, _ = client.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE


def test_the_server_knows_its_clients(site):
    with connected(site) as one, connected(site, "/everybody") as other:
        one.send("hello")
        assert one.recv() == "hello"
        other.send("now")
        assert other.recv() == one.recv() == "to everybody"


def test_a_failure_is_logged_and_closes(site):
    with connected(site, "/fail") as client:
        opcode, _ = client.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
    eventually(lambda: "LookupError: no such thing" in site.log())


def test_what_is_no_websocket_is_answered(site, dial):
    version = [field.replace("13", "12") for field in FIELDS]
    with dial(site) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + "\r\n".join(version).encode() + b"\r\n\r\n")
        response = peer.response()
        assert (response.status, response.get("Sec-WebSocket-Version")) == (400, "13, 8, 7")
        assert b"12" in response.body
        assert peer.closed_by_server()
    with dial(site) as peer:
        # It speaks no other protocol, and the application may.
        peer.send(opening("/").replace(b"websocket", b"websocket, other"))
        assert peer.response().body == b"[False, True]"
    assert "Traceback" not in site.log()


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"], ["polling"]])
def test_flask_socketio_as_it_is(serve, dial, transports):
    server = serve("socketio_site", "-k", CLASS, env={"ASYNC_MODE": "gevent", "WITH_PACKAGE": "1"})
    with talking(server, transports), dial(server) as peer:
        assert peer.get("/").body == b"hello"
    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_without_the_package_it_is_said_how_to_get_it(oxicorn, tmp_path):
    (tmp_path / "geventwebsocket.py").write_text("raise ImportError('not there')\n")
    done = oxicorn("-k", CLASS, "apps.hello:app")
    assert done.returncode == 1
    assert "pip install gevent-websocket" in done.stderr
    assert "Traceback" not in done.stderr
