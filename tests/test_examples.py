"""Every example of the repository is started as its own text says."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import websocket

from support import eventually
from support.server import environment

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
STARTED = {
    "hello",
    "flask_app",
    "streaming",
    "upload",
    "django_app",
    "eventlet_server",
    "gevent_server",
    "tornado_server",
    "websocket_app",
}


@pytest.fixture
def example(serve):
    def start(app, *options, **more):
        # A dot or colon keeps the harness from looking in tests/apps.
        return serve(None, *options, app, cwd=EXAMPLES, **more)

    return start


def test_all_examples_are_started():
    there = {path.stem for path in EXAMPLES.iterdir() if path.name != "__pycache__"}
    assert there == STARTED


def test_hello(example, dial):
    assert dial(example("hello")).get().body == b"Hello from oxicorn\n"


def test_flask(example, dial):
    peer = dial(example("flask_app:app", workers=4))
    assert b"It works" in peer.get().body
    assert peer.get("/hello/you").body.strip() == b'{"hello":"you"}'
    peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n")
    peer.send(b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b")
    assert peer.response().body.strip() == b'{"a":"b"}'


def test_django(example, dial):
    peer = dial(example("django_app.wsgi", workers=2))
    assert b"It works" in peer.get().body
    assert peer.get("/hello/you").body == b'{"hello": "you"}'


def test_websocket(example):
    server = example("websocket_app:app", "--threads", "2")
    url = f"ws://127.0.0.1:{server.port}/echo"
    client = websocket.create_connection(url, timeout=60)
    client.send("hello")
    assert client.recv() == "hello"
    client.close()
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(url, timeout=60, origin="https://elsewhere.example")


def test_streaming(example, dial):
    """The first event is there while the application still makes the others."""
    server = example("streaming:app")
    peer = dial(server)
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.head().is_chunked
    assert peer.chunk() == b"data: 0\n\n"
    assert server.access_log() == ""  # the line is written at the end
    assert [peer.chunk() for _ in range(20)][-2:] == [b"data: 19\n\n", b""]
    eventually(lambda: "GET / HTTP/1.1" in server.access_log())


def test_upload(example, dial):
    data = b"some bytes\n" * 100_000
    peer = dial(example("upload:app"))
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    expected = f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}\n"
    assert peer.response().body == expected.encode()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gevent_server", b"0\n1\n2\n"),
        ("tornado_server", b"the loop went on\n"),
        ("eventlet_server", b"0\n1\n2\n"),
    ],
)
def test_servers_on_other_loops(name, body, tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    program = [sys.executable, f"{name}.py", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(program, cwd=EXAMPLES, env=environment(), stderr=file)
    try:

        def answer():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
                    return response.read()
            except OSError:
                return None  # it does not listen yet

        assert eventually(answer) == body
        # Tornado's lines are for those who turn on its logger.
        if name != "tornado_server":
            eventually(lambda: '"GET / HTTP/1.1" 200' in log.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
