"""Signals reach a worker whose application meddles with them."""

from __future__ import annotations

import signal

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
