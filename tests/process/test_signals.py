"""Signals that come at odd times, and to a worker whose application meddles with them."""

from __future__ import annotations

import signal
import socket

import pytest

from support import eventually


@pytest.mark.parametrize("threads", [1, 3])
def test_term_drains_after_an_event_loop_ran(serve, dial, threads):
    server = serve("event_loop", "--threads", str(threads), "--graceful-timeout", "600")
    idle = dial(server)
    for _ in range(8):
        assert idle.get().body == b"slept"
    with dial(server) as peer:
        peer.send(b"GET /500 HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: server.access_log().count("GET / HTTP/1.1") == 8)
        server.signal(signal.SIGTERM)
        assert peer.response().body == b"slept"
    assert server.wait() == 0
    assert "Worker exiting" in server.log()


def test_idle_worker_hears_term_after_an_event_loop_ran(serve, dial):
    server = serve("event_loop", "--graceful-timeout", "600")
    with dial(server) as peer:
        assert peer.get().body == b"slept"
    assert server.stop() == 0


def test_logs_are_reopened_after_an_event_loop_ran(serve, dial, tmp_path):
    log = tmp_path / "access"
    server = serve("event_loop", "--access-logfile", str(log))
    with dial(server) as peer:
        assert peer.get().body == b"slept"
        eventually(log.exists)
        log.rename(tmp_path / "old")
        (pid,) = server.workers()
        server.signal(signal.SIGUSR1)
        eventually(log.exists)
        assert server.workers() == [pid]

        def is_written():
            assert peer.get("/0").body == b"slept"
            return "GET /0" in log.read_text()

        eventually(is_written)


EARLY = """
import os, signal

def when_ready(server):
    os.kill(os.getpid(), signal.{number})
"""


def test_a_signal_before_the_first_worker_waits(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(EARLY.format(number="SIGHUP"))
    server = serve("hello", cwd=tmp_path)
    eventually(lambda: "Handling signal: hup" in server.log())
    with dial(server) as peer:
        assert peer.get().status == 200


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_an_end_before_the_first_worker_is_orderly(oxicorn, tmp_path, number):
    (tmp_path / "gunicorn.conf.py").write_text(EARLY.format(number=number))
    place = tmp_path / "http.sock"
    files = ["--bind", f"unix:{place}", "--pid", str(tmp_path / "pid")]
    done = oxicorn(*files, "apps.hello:app")
    assert done.returncode == 0, done.stderr
    assert "Shutting down: Master" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gunicorn.conf.py"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_while_it_waits_for_the_address(serve, number):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        server = serve("hello", bind=bind, announced=False)
        eventually(lambda: "Retrying in 1 second." in server.log())
        server.signal(number)
        assert server.wait() == 0
    assert server.log().count("Connection in use") < 5


def test_an_end_while_a_reload_waits_for_an_address(serve, tmp_path):
    """The reload is given up, and nothing that it opened is left."""
    settings = tmp_path / "gunicorn.conf.py"
    settings.write_text("")
    server = serve("hello", cwd=tmp_path, bind=None, env={"PORT": "0"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = [f"unix:{tmp_path}/new.sock", f"127.0.0.1:{taken.getsockname()[1]}"]
        settings.write_text(f"bind = {bind}\n")
        server.signal(signal.SIGHUP)
        eventually(lambda: "Retrying in 1 second." in server.log())
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert server.log().count("Connection in use") < 5
    assert "Worker exiting" in server.log()
    assert not (tmp_path / "new.sock").exists()
