"""`-k tornado`: the application on Tornado's loop."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from support import eventually
from support.standing import many_descriptors, served_once

pytest.importorskip("tornado")


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def test_the_application_is_on_the_loop(serve, dial):
    server = serve("on_the_loop", "-k", "tornado")
    with dial(server) as peer:
        assert peer.get("/spawn").body == b"spawned on MainThread"
        eventually(lambda: peer.get("/spawned").body == b"1")
    assert server.stop() == 0
    assert "Using worker: tornado" in server.log()
    assert "Traceback" not in server.log()


def test_threads_run_it_beside_the_loop(serve, dial):
    server = serve("on_the_loop", "-k", "tornado", "--threads", "3")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server)) for _ in range(3)]
        # Each waits for the two others.
        for peer in peers:
            peer.send(request("/meet"))
        assert [peer.response().body for peer in peers] == [b"met"] * 3


def test_more_requests_than_threads(serve, dial):
    server = serve("on_the_loop", "-k", "tornado", "--threads", "2")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server)) for _ in range(200)]
        for _ in range(3):
            for peer in peers:
                peer.send(request("/"))
            assert {peer.response().body for peer in peers} == {b"hello"}


def test_10000_idle_connections_beside_1000_that_are_active(serve, dial):
    """Each of the thousand is in the middle of an upload, then of a request, all at once."""
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"
    options = ("--threads", "8", "--worker-connections", "20000", "--keep-alive", "600")
    limits = ("--client-body-grace", "600", "--queue-timeout", "600")
    with contextlib.ExitStack() as stack:
        count = min(10_000, stack.enter_context(many_descriptors()) - 1500)
        server = serve("on_the_loop", "-k", "tornado", *options, *limits)
        idle = served_once(server, dial, stack, count)
        active = [stack.enter_context(dial(server, 60.0)) for _ in range(1000)]
        quick = stack.enter_context(dial(server))
        for _ in range(2):
            for peer in active:
                peer.send(upload)
            for peer in (quick, *idle[:: count // 100]):
                assert peer.get("/hello").body == b"hello"
            for peer in active:
                peer.send(b"def")
            assert {peer.response().body for peer in active} == {b"hello"}
        # And the loop still has its own callbacks.
        assert quick.get("/call").status == 200
        eventually(lambda: quick.get("/spawned").body == b"1")


def test_term_lets_a_request_finish(serve, dial):
    server = serve("sleepy", "-k", "tornado", "--threads", "4")
    with dial(server) as idle, dial(server) as peer:
        assert idle.get("/0").body == b"/0"
        peer.send(request("/1500"))
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        assert idle.closed_by_server()
        assert peer.response().body == b"/1500"
    assert server.wait() == 0


def test_requests_are_counted_for_max_requests(serve, dial):
    server = serve("hello", "-k", "tornado", "--max-requests", "3")
    [first] = eventually(server.workers)
    for _ in range(3):
        with dial(server) as peer:
            assert peer.get("/").status == 200
    eventually(lambda: first not in server.workers())
    with dial(server) as peer:
        assert peer.get("/").status == 200


def test_a_loop_that_the_application_had_before_the_fork(serve, dial):
    with dial(serve("on_the_loop", "-k", "tornado", "--preload", workers=2)) as peer:
        assert peer.get("/spawn").body == b"spawned on MainThread"


def test_a_container_is_unwrapped_and_an_application_refused(serve, oxicorn, dial, tmp_path):
    (tmp_path / "wrapped.py").write_text(
        "import tornado.web\n"
        "from oxicorn.tornado import WSGIContainer\n"
        "from apps.hello import app\n"
        "container = WSGIContainer(app)\n"
        "application = tornado.web.Application([])\n"
    )
    with dial(serve("wrapped:container", "-k", "tornado", cwd=tmp_path)) as peer:
        assert peer.get("/").status == 200
    done = oxicorn("-k", "tornado", "-b", "127.0.0.1:0", "wrapped:application", cwd=tmp_path)
    assert done.returncode == 4
    assert "which is not WSGI" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_tornado_it_is_said_how_to_get_it(oxicorn, tmp_path):
    (tmp_path / "tornado.py").write_text("raise ImportError('not there')\n")
    done = oxicorn("-k", "tornado", "apps.hello:app")
    assert done.returncode == 1
    assert "pip install tornado" in done.stderr
    assert "Traceback" not in done.stderr
