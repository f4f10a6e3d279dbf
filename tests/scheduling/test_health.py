"""`health_path`: an answer that needs no thread of the application."""

from __future__ import annotations

import signal

import pytest

from oxicorn import Scoreboard
from support import eventually
from support.hogs import ENDLESS, request

HEALTH = ("--health-path", "/health")


@pytest.mark.parametrize("what", ["sleep", "spin", "match"])
@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (2, 1), (2, 2)])
def test_it_is_answered_while_every_thread_is_busy(serve, dial, hogs, what, workers, threads):
    options = (*ENDLESS, *HEALTH, "--threads", str(threads))
    server = serve("hog", *options, workers=workers, env=hogs.env, exit_status=None)
    kept = [dial(server) for _ in range(4)]
    for peer in kept:
        assert peer.get("/health").body == b"ok\n"
    # One that holds the interpreter keeps the other threads of its worker as well.
    for number in range(workers if what == "match" else workers * threads):
        peer = dial(server)
        hogs.begin(peer, what, f"busy{number}")
    for peer in (*kept, *(dial(server) for _ in range(4))):
        response = peer.get("/health")
        assert (response.status, response.body) == (200, b"ok\n")
        assert peer.get("/health").status == 200, "the connection is kept"


def test_the_application_never_sees_it(serve, dial, hogs):
    server = serve("hog", *HEALTH, env=hogs.env)
    peer = dial(server)
    for path in ("/health", "/health?deep=1", "/%68ealth", "/he%61lt%68", "http://test/health"):
        response = peer.get(path)
        assert (response.status, response.body) == (200, b"ok\n")
        assert response.get("Cache-Control") == "no-store"
    head = dial(server)
    head.send(request("/health", method="HEAD"))
    response = head.response(to="HEAD")
    assert (response.status, response.get("Content-Length")) == (200, "3")
    for path in ("/healthy", "/health/", "/", "//health"):
        assert peer.get(path).body.decode().endswith(f" {path}")
    assert '"GET /health?deep=1 HTTP/1.1" 200 3 ' in server.access_log()
    for method, body in (("POST", b"abc"), ("DELETE", b"")):
        other = dial(server)
        other.send(request("/health", f"Content-Length: {len(body)}", method=method) + body)
        response = other.response()
        assert (response.status, response.get("Allow")) == (405, "GET, HEAD")


def test_it_keeps_its_place_among_pipelined_requests(serve, dial, hogs):
    server = serve("hog", *HEALTH, env=hogs.env)
    peer = dial(server)
    paths = ["/a", "/health", "/health", "/b", "/health"]
    peer.send(b"".join(request(path) for path in paths))
    answers = [peer.response().body.decode().split()[-1] for _ in paths]
    assert answers == ["/a", "ok", "ok", "/b", "ok"]
    peer.send(request("/health", "Content-Length: 3") + b"abc" + request("/c"))
    assert peer.response().body == b"ok\n"
    assert peer.response().body.decode().endswith(" /c")


def test_old_clients_and_those_that_close(serve, dial, hogs):
    server = serve("hog", *HEALTH, env=hogs.env)
    old = dial(server)
    old.send(b"GET /health HTTP/1.0\r\n\r\n")
    assert old.response().body == b"ok\n"
    assert old.closed_by_server()
    closes = dial(server)
    closes.send(request("/health", "Connection: close"))
    response = closes.response()
    assert (response.status, response.get("Connection")) == (200, "close")
    assert closes.closed_by_server()


def test_a_worker_that_drains_says_so(serve, dial, hogs):
    server = serve("hog", *HEALTH, "--timeout", "0", env=hogs.env)
    board = Scoreboard(server.pid)
    busy, asks = dial(server), dial(server)
    hogs.begin(busy, "sleep", "busy")
    whole = request("/health")
    asks.send(whole[:10])
    # Its first bytes are there, or a drain would not wait for the rest.
    eventually(lambda: board.read()["workers"][0]["connections"] == 2)
    server.signal(signal.SIGTERM)
    eventually(lambda: board.read()["workers"][0]["state"] == "draining")
    asks.send(whole[10:])
    response = asks.response()
    assert (response.status, response.body) == (503, b"draining\n")
    assert response.get("Connection") == "close"
    hogs.end("busy")
    assert busy.response().status == 200


def test_without_the_setting_it_is_a_path_like_any_other(serve, dial, hogs):
    server = serve("hog", env=hogs.env)
    assert dial(server).get("/health").body.decode().endswith(" /health")


def test_under_gevent(serve, dial, hogs):
    pytest.importorskip("gevent")
    server = serve("hog", *HEALTH, "-k", "gevent", "--worker-connections", "2", env=hogs.env)
    busy = dial(server)
    hogs.begin(busy, "sleep", "busy")
    peer = dial(server)
    for _ in range(2):
        assert peer.get("/health").body == b"ok\n"
    hogs.end("busy")
    assert busy.response().status == 200


@pytest.mark.parametrize("path", ["health", "/a?b", "/a%20", "/a b", "*"])
def test_a_path_that_could_never_be_asked_for_is_refused(oxicorn, path):
    done = oxicorn("--check-config", "--health-path", path, "apps.hello:app")
    assert done.returncode == 2
    assert "health_path: expected a path that begins with /" in done.stderr
