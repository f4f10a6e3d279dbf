"""What applications use for WebSockets, unmodified, with the clients that belong to it."""

from __future__ import annotations

import contextlib

import pytest
import socketio
import websocket

from support import eventually

HOSTS = [
    (),
    ("--threads", "4"),
    ("-k", "gevent"),
    ("-k", "eventlet"),
    ("-k", "tornado"),
    ("-k", "tornado", "--threads", "4"),
]
# eventlet warns that it is at its end.
QUIET = {"PYTHONWARNINGS": "ignore"}


def kind(options):
    return options[1] if "-k" in options else "threads"


@pytest.fixture(params=HOSTS, ids=" ".join)
def options(request):
    if kind(request.param) != "threads":
        pytest.importorskip(kind(request.param))
    return request.param


def test_flask_sock(serve, dial, options):
    server = serve("flask_sock_site", *options, env=QUIET)
    url = f"ws://127.0.0.1:{server.port}"
    client = websocket.create_connection(url + "/echo", timeout=60, subprotocols=["chat"])
    assert client.getsubprotocol() == "chat"
    for text in ("hello", "x" * 1_000_000):
        client.send(text)
        assert client.recv() == text
    other = websocket.create_connection(url + "/greet/you", timeout=60)
    assert other.recv() == "hello you"
    # The end of the view closes it, with the closing handshake.
    opcode, data = other.recv_data()
    assert (opcode, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")
    other.shutdown()
    with dial(server) as peer:
        assert peer.get("/").body == b"hello"
    client.close()
    assert server.stop() == 0
    assert "Traceback" not in server.log()
    assert server.access_log().count(" 101 ") == 2


# A long poll would hold the only thread of a worker that has one.
@pytest.mark.parametrize(
    ("options", "transports"),
    [
        (options, transports)
        for options in HOSTS
        for transports in (["websocket"], ["polling", "websocket"], ["polling"])
        if options not in ((), ("-k", "tornado")) or transports == ["websocket"]
    ],
)
def test_flask_socketio(serve, dial, options, transports):
    if kind(options) != "threads":
        pytest.importorskip(kind(options))
    mode = kind(options) if kind(options) in ("gevent", "eventlet") else "threading"
    server = serve("socketio_site", *options, env={**QUIET, "ASYNC_MODE": mode})
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = stack.enter_context(socketio.SimpleClient())
            client.connect(server.url, transports=transports, wait_timeout=60)
            clients.append(client)
        for client in clients:
            eventually(lambda client=client: client.call("transport") == transports[-1])
            assert client.call("say", "x" * 100_000) == 100_000
            assert client.receive(60) == ["said", "x" * 100_000]
        clients[0].emit("shout", "all of you")
        for client in clients:
            assert client.receive(60) == ["shouted", "ALL OF YOU"]
        with dial(server) as peer:
            assert peer.get("/").body == b"hello"
    assert server.stop() == 0
    assert "Traceback" not in server.log()
