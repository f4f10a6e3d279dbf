"""What applications use for WebSockets, unmodified, with the clients that belong to it."""

from __future__ import annotations

import pytest
import websocket

from support.socketio import talking

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
    with talking(server, transports), dial(server) as peer:
        assert peer.get("/").body == b"hello"
    assert server.stop() == 0
    assert "Traceback" not in server.log()
