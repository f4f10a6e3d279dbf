"""Figures for StatsD."""

from __future__ import annotations

import re
import socket

import pytest

from support import eventually


@pytest.fixture(params=["udp", "unix"])
def collector(request, tmp_path):
    """A StatsD server: its address as the setting has it, and what it got."""
    name = str(tmp_path / "statsd")
    family = socket.AF_INET if request.param == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0) if request.param == "udp" else name)
        ear.setblocking(False)
        got = []

        def listen():
            try:
                while True:
                    got.append(ear.recv(4096).decode())
            except BlockingIOError:
                return got

        port = ear.getsockname()[1] if request.param == "udp" else 0
        yield f"127.0.0.1:{port}" if port else f"unix://{name}", listen


def test_requests_and_workers(serve, dial, collector):
    address, got = collector
    server = serve("hello", "--statsd-host", address, "--statsd-prefix", "shop", workers=2)
    with dial(server) as peer:
        assert peer.get().status == 200
    eventually(lambda: "shop.gunicorn.request.status.200:1|c|@1.0" in got())
    assert "shop.gunicorn.requests:1|c|@1.0" in got()
    duration = r"shop\.gunicorn\.request\.duration:\d+\.\d+\|ms"
    assert any(re.fullmatch(duration, figure) for figure in got())
    eventually(lambda: "shop.gunicorn.workers:2|g" in got())


def test_tags(serve, dial, collector):
    address, got = collector
    server = serve("hello", "--statsd-host", address, "--dogstatsd-tags", "env:test,a:b")
    with dial(server) as peer:
        assert peer.get().status == 200
    eventually(lambda: "gunicorn.requests:1|c|@1.0|#env:test,a:b" in got())


def test_nobody_listening_is_no_trouble(serve, dial, tmp_path):
    server = serve("hello", "--statsd-host", f"unix://{tmp_path}/nobody")
    with dial(server) as peer:
        assert peer.get().status == 200
        assert peer.get().status == 200


def test_a_wrong_address_stops_the_start(oxicorn):
    done = oxicorn("--statsd-host", "here:there", "-b", "127.0.0.1:0", "apps.hello:app")
    assert done.returncode == 1
    assert "statsd_host: expected HOST:PORT or unix://PATH, got `here:there`" in done.stderr
