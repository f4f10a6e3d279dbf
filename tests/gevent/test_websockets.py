"""WebSockets on `oxicorn.gevent.WSGIServer`, served by gevent-websocket or by the engine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request

import pytest
import socketio
import websocket

from support.server import TESTS, environment

pytest.importorskip("gevent")


@pytest.fixture(params=["libev-cext", "libuv-cffi"])
def start(request):
    """Starts the program, gives its port, and has it end well; `start.end()` is what it logged."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "apps" / "green_websockets.py"), *arguments],
            env=environment({"GEVENT_LOOP": request.param}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return int(process.stdout.readline())

    def end():
        process = processes.pop()
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0
        assert "Traceback" not in said
        return said

    start.end = end
    yield start
    while processes:
        end()


def echoes(port, path):
    url = f"ws://127.0.0.1:{port}{path}"
    clients = [websocket.create_connection(url, timeout=60) for _ in range(5)]
    for size in (1, 126, 70_000):
        for client in clients:
            client.send("x" * size)
        for client in clients:
            assert client.recv() == "x" * size
    clients[1].send("x" * 1_000_000)
    assert clients[1].recv() == "x" * 1_000_000
    for client in clients[1:]:
        client.close()
    clients[0].shutdown()


def test_gevent_websocket_as_it_is(start):
    port = start("own_echo", "gevent-websocket")
    echoes(port, "/")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        assert response.read() == b"no websocket"


def test_simple_websocket_without_a_handler_class(start):
    echoes(start("simple_echo", "engine"), "/echo")


@pytest.mark.parametrize(
    ("app", "served_by", "path"),
    [("simple_echo", "engine", "/echo"), ("own_echo", "gevent-websocket", "/")],
)
def test_a_pool_of_one_has_room_for_a_websocket_and_a_request(start, app, served_by, path):
    port = start(app, served_by, "1")
    url = f"ws://127.0.0.1:{port}{path}"
    client = websocket.create_connection(url, timeout=60)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        assert response.status == 200
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(url, timeout=60)
    assert refused.value.status_code == 503
    assert refused.value.resp_headers["retry-after"] == "1"
    client.send("still here")
    assert client.recv() == "still here"
    # It ends with the server, whose pool it is not in.
    assert start.end().count("a WebSocket was refused, as 1 are open (websocket_limit)") == 1
    client.shutdown()


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
def test_flask_socketio_with_gevent_websocket(start, transports):
    port = start("flask_socketio", "gevent-websocket")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = stack.enter_context(socketio.SimpleClient())
            client.connect(f"http://127.0.0.1:{port}", transports=transports, wait_timeout=60)
            clients.append(client)
        for client in clients:
            client.emit("say", "x" * 100_000)
            assert client.receive(60) == ["said", "x" * 100_000]
        clients[0].emit("shout", "all of you")
        for client in clients:
            assert client.receive(60) == ["shouted", "ALL OF YOU"]
