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
    """Starts the program, gives its port, and has it end well."""
    with contextlib.ExitStack() as stack:

        def start(app, served_by):
            process = subprocess.Popen(
                [sys.executable, str(TESTS / "apps" / "green_websockets.py"), app, served_by],
                env=environment({"GEVENT_LOOP": request.param}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(end, process)
            return int(process.stdout.readline())

        def end(process):
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0
            assert "Traceback" not in said

        yield start


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
