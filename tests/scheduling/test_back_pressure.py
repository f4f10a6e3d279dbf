"""Requests that find no thread: how long they wait, how many, and for whom."""

from __future__ import annotations

import time

import pytest

from oxicorn import Scoreboard
from support import eventually
from support.hogs import ENDLESS, request


def ago(seconds, factor=1.0, before="X-Request-Start: t="):
    """A moment in the past as proxies write it: `factor` is 1000 for milliseconds."""
    return f"{before}{(time.time() - seconds) * factor:.3f}"


def queue_of(board):
    """How many requests wait, over all workers."""
    return sum(worker["waiting"] for worker in board.read()["workers"])


def make_busy(hogs, dial, server, workers):
    """Keeps every thread of the workers busy."""
    names = [f"busy{number}" for number in range(workers)]
    peers = [dial(server) for _ in names]
    for peer, name in zip(peers, names, strict=True):
        hogs.begin(peer, "sleep", name)
    return peers


def is_refused(response):
    assert response.status == 503
    assert int(response.get("Retry-After") or 0) >= 1
    return True


@pytest.mark.parametrize("workers", [1, 3])
def test_a_request_waits_for_a_limited_time(serve, dial, hogs, workers):
    options = (*ENDLESS, "--queue-timeout", "0.5")
    server = serve("hog", *options, workers=workers, env=hogs.env)
    kept = dial(server)
    assert kept.get("/first").status == 200
    busy = make_busy(hogs, dial, server, workers)
    # On a kept connection and on new ones, which no worker is free to accept.
    peers = [kept, *(dial(server) for _ in range(5))]
    for number, peer in enumerate(peers):
        peer.send(request(f"/sleep/late{number}"))
    for peer in peers:
        assert is_refused(peer.response())
        assert peer.closed_by_server()
    for number in range(workers):
        hogs.end(f"busy{number}")
    for peer in busy:
        assert peer.response().status == 200
    assert not any(hogs.began(f"late{number}") for number in range(len(peers)))
    assert server.access_log().count('" 503 ') == len(peers)
    assert Scoreboard(server.pid).read()["totals"]["refused"] == len(peers)


def test_a_limited_number_of_requests_waits(serve, dial, hogs):
    server = serve("hog", *ENDLESS, "--queue-limit", "3", env=hogs.env)
    board = Scoreboard(server.pid)
    [busy] = make_busy(hogs, dial, server, 1)
    waiting = [dial(server) for _ in range(3)]
    for peer in waiting:
        peer.send(request("/fast"))
    eventually(lambda: queue_of(board) == 3)
    for _ in range(2):
        assert is_refused(dial(server).get("/fast"))
    hogs.end("busy0")
    for peer in (busy, *waiting):
        assert peer.response().status == 200


def test_a_request_whose_client_has_gone_does_not_begin(serve, dial, hogs):
    server = serve("hog", *ENDLESS, env=hogs.env)
    board = Scoreboard(server.pid)
    [busy] = make_busy(hogs, dial, server, 1)
    goes, stays = dial(server), dial(server)
    goes.send(request("/sleep/gone"))
    eventually(lambda: queue_of(board) == 1)
    begin = time.monotonic()
    goes.socket.close()
    # Before that it could be one that only has nothing more to say.
    eventually(lambda: time.monotonic() > begin + 1.5)
    stays.send(request("/stays"))
    eventually(lambda: queue_of(board) == 2)
    hogs.end("busy0")
    assert busy.response().status == 200
    assert stays.response().status == 200
    assert not hogs.began("gone")
    eventually(lambda: '"GET /sleep/gone HTTP/1.1" 499 ' in server.access_log())
    assert board.read()["totals"]["abandoned"] == 1


@pytest.mark.parametrize(
    ("factor", "before"),
    [
        (1, "X-Request-Start: t="),
        (1, "X-Request-Start: "),
        (1e3, "X-Request-Start: t="),
        (1e6, "x-request-start: "),
        (1, "X-Queue-Start: t="),
    ],
)
def test_the_time_at_a_trusted_proxy_counts(serve, dial, hogs, factor, before):
    start = ago(100, factor, before)
    server = serve("hog", *ENDLESS, "--queue-timeout", "60", env=hogs.env)
    [busy] = make_busy(hogs, dial, server, 1)
    late = dial(server)
    late.send(request("/sleep/late", start))
    assert is_refused(late.response())
    assert not hogs.began("late")
    hogs.end("busy0")
    assert busy.response().status == 200


UNTRUSTED = ("--forwarded-allow-ips", "10.0.0.1")
GROUP = ("--proxy-trusted", "10.0.0.1")


@pytest.mark.parametrize(
    ("options", "seconds", "factor"),
    [
        (UNTRUSTED, 100, 1),
        (GROUP, 100, 1),
        ((), -100, 1),
        ((), 48 * 3600, 1),
        ((), 100, 1e-6),
        ((), 100, 0),
    ],
)
def test_what_is_forged_or_absurd_does_not(serve, dial, hogs, options, seconds, factor):
    options = (*options, "--queue-timeout", "60", "--health-path", "/health")
    server = serve("hog", *ENDLESS, *options, env=hogs.env)
    board = Scoreboard(server.pid)
    [busy] = make_busy(hogs, dial, server, 1)
    late = dial(server)
    late.send(request("/late", ago(seconds, factor)))
    eventually(lambda: queue_of(board) == 1)
    # It would have been refused before the second of these was answered.
    for _ in range(2):
        assert dial(server).get("/health").status == 200
    assert queue_of(board) == 1
    hogs.end("busy0")
    assert busy.response().status == 200
    assert late.response().status == 200


def test_a_proxy_group_trusts_its_proxies(serve, dial, hogs):
    options = ("--proxy-trusted", "127.0.0.1", "--queue-timeout", "60")
    server = serve("hog", *ENDLESS, *options, env=hogs.env)
    [busy] = make_busy(hogs, dial, server, 1)
    late = dial(server)
    late.send(request("/sleep/late", ago(100)))
    assert is_refused(late.response())
    hogs.end("busy0")
    assert busy.response().status == 200
