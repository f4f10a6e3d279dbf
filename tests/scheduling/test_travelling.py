"""What a connection is and has when it comes to another worker: the same as before."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from oxicorn import Scoreboard
from support import Peer, eventually
from support.hogs import ENDLESS, descriptors, pid_of, request, warm

TOLD = request("/told")


def told(peer):
    response = peer.response()
    assert response.status == 200
    return json.loads(response.body)


def environ_of(peer):
    return told(peer)["environ"]


@pytest.fixture
def moved(serve, dial, hogs):
    """Sends something on connections whose worker is busy, so that another one answers.

    `moved(bytes, *options)` gives the busy worker, and peers that have been used once, with `first`
    before that, and have sent these bytes since.
    """

    def move(data, *options, first=b"", open_one=dial):
        server = serve("hog", *ENDLESS, *options, workers=2, env=hogs.env)
        peers = [open_one(server) for _ in range(24)]
        for peer in peers:
            peer.send(first)
        homes = warm(peers)
        busy = hogs.begin(peers[0], "sleep", "slow")
        travellers = [peer for peer, home in zip(peers, homes, strict=True) if home == busy][1:]
        assert travellers
        for peer in travellers:
            peer.send(data)
        return busy, travellers

    return move


ANNOUNCED = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"
PROXY_PROTOCOL = ("--proxy-protocol", "v1", "--proxy-allow-from", "127.0.0.1")


def test_what_a_proxy_line_said_stays_said(moved):
    busy, peers = moved(TOLD + TOLD, *PROXY_PROTOCOL, first=ANNOUNCED)
    for peer in peers:
        for _ in range(2):
            seen = told(peer)
            assert seen["pid"] != busy
            environ = seen["environ"]
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.9", "4711")
            assert (environ["PROXY_ADDR"], environ["PROXY_PORT"]) == ("10.0.0.1", "80")


def test_a_client_keeps_its_address_and_port(moved):
    busy, peers = moved(TOLD)
    for peer in peers:
        seen = told(peer)
        assert seen["pid"] != busy
        host, port = peer.socket.getsockname()
        assert (seen["environ"]["REMOTE_ADDR"], seen["environ"]["REMOTE_PORT"]) == (host, str(port))
        assert seen["environ"]["SERVER_PORT"] == str(peer.socket.getpeername()[1])


@pytest.mark.parametrize(("trusted", "scheme"), [("127.0.0.1", "https"), ("10.0.0.1", "http")])
def test_trust_is_in_the_peer_wherever_it_is_served(moved, trusted, scheme):
    asks = request("/told", "X-Forwarded-Proto: https")
    busy, peers = moved(asks, "--forwarded-allow-ips", trusted)
    for peer in peers:
        seen = told(peer)
        assert (seen["pid"] != busy, seen["environ"]["wsgi.url_scheme"]) == (True, scheme)


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1", "203.0.113.9"), ("10.0.0.1", "127.0.0.1")]
)
def test_the_client_that_a_trusted_proxy_names(moved, trusted, client):
    asks = request("/told", "X-Forwarded-For: 203.0.113.9")
    options = ("--proxy-trusted", trusted, "--proxy-x-for", "1")
    for peer in moved(asks, *options)[1]:
        assert environ_of(peer)["REMOTE_ADDR"] == client


def test_the_listener_that_a_connection_came_in_by(moved, tmp_path):
    """The second one of the server: the announced one is TCP."""
    path, opened = tmp_path / "socket", []

    def open_one(server):
        opened.append(socket.socket(socket.AF_UNIX))
        opened[-1].settimeout(30)
        opened[-1].connect(str(path))
        return Peer(opened[-1])

    try:
        for peer in moved(TOLD, "--bind", f"unix:{path}", open_one=open_one)[1]:
            environ = environ_of(peer)
            assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
            assert environ["REMOTE_ADDR"] == ""
    finally:
        for each in opened:
            each.close()


def test_requests_of_a_connection_are_counted_on(moved):
    """The second request of each was elsewhere, the third is the last."""
    _, peers = moved(TOLD, "--keepalive-requests", "3")
    for peer in peers:
        assert not peer.response().closes
    for peer in peers:
        assert peer.get("/third").closes
        assert peer.closed_by_server()


def test_an_idle_connection_ends_wherever_it_is(serve, dial, hogs):
    options = (*ENDLESS[:4], "--keep-alive", "1")
    server = serve("hog", *options, workers=2, env=hogs.env)
    peers = [dial(server) for _ in range(24)]
    homes = warm(peers)
    busy = hogs.begin(peers[0], "sleep", "slow")
    travellers = [peer for peer, home in zip(peers, homes, strict=True) if home == busy][1:]
    assert travellers
    for peer in travellers:
        peer.send(TOLD)
    for peer in travellers:
        assert told(peer)["pid"] != busy
        assert peer.closed_by_server()
    hogs.end("slow")
    assert peers[0].response().status == 200


BODY = b"a body of some bytes"
CHUNKED = request("/told", "Transfer-Encoding: chunked", method="POST")


@pytest.mark.parametrize(
    "asks",
    [
        request("/told", f"Content-Length: {len(BODY)}", method="POST") + BODY,
        CHUNKED + b"5\r\na bod\r\nf\r\ny of some bytes\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_body_comes_along(moved, asks):
    """And what follows it, as far as it was sent."""
    busy, peers = moved(asks + asks + TOLD[:9])
    for peer in peers:
        for _ in range(2):
            seen = told(peer)
            assert (seen["pid"] != busy, seen["body"]) == (True, BODY.decode())
            assert seen["environ"]["CONTENT_LENGTH"] == str(len(BODY))
        peer.send(TOLD[9:])
        assert told(peer)["body"] == ""


def test_nothing_moves_when_nobody_is_idle(serve, dial, hogs):
    server = serve("hog", *ENDLESS, workers=2, env=hogs.env)
    board = Scoreboard(server.pid)
    peers = [dial(server) for _ in range(40)]
    warm(peers)
    hogs.begin(peers[0], "sleep", "first")
    second = hogs.begin(peers[1], "sleep", "second")
    moved_before = board.read()["totals"]["given"]
    for peer in peers[2:]:
        peer.send(request("/fast"))
    waits = eventually(lambda: waiting(board) if sum(waiting(board)) == 38 else None)
    # Looks at the queue follow each other in milliseconds; each of these is a round trip.
    for _ in range(20):
        assert waiting(board) == waits
        assert dial(server).get("/late", "Content-Length: x").status == 400
    assert board.read()["totals"]["given"] == moved_before
    # And the first that is free has all of it.
    hogs.end("second")
    assert peers[1].response().status == 200
    for peer in peers[2:]:
        assert pid_of(peer.response()) == second
    hogs.end("first")
    assert peers[0].response().status == 200


def waiting(board):
    """How many requests wait in each worker."""
    return [worker["waiting"] for worker in board.read()["workers"]]


def test_a_worker_that_dies_takes_only_what_it_has_along(serve, dial, hogs):
    """Connections came to it, wait in its queue, and it is killed: their clients see a close, and
    everybody else is served."""
    server = serve("hog", *ENDLESS, workers=2, env=hogs.env)
    board = Scoreboard(server.pid)
    peers = [dial(server) for _ in range(40)]
    homes = warm(peers)
    busy = hogs.begin(peers[0], "sleep", "slow")
    before = descriptors(busy)
    travellers = [peer for peer, home in zip(peers, homes, strict=True) if home == busy][1:]
    for peer in travellers:
        peer.send(request("/fast"))
    [killed] = {pid_of(peer.response()) for peer in travellers}
    assert killed != busy
    assert hogs.begin(travellers[0], "sleep", "elsewhere") == killed
    for peer in travellers[1:]:
        peer.send(request("/fast"))
    eventually(lambda: sorted(waiting(board)) == [0, len(travellers) - 1])
    os.kill(killed, signal.SIGKILL)
    for peer in travellers:
        assert peer.closed_by_server()
    # The other one has what it had, less what has left it.
    for _ in range(10):
        assert pid_of(dial(server).get("/new")) not in (busy, killed)
    hogs.end("slow")
    assert pid_of(peers[0].response()) == busy
    # Whoever answers: the worker may not be done with the one before when this one is read.
    assert peers[0].get("/again").status == 200
    for peer in peers:
        peer.socket.close()
    # A worker may have opened a few for itself since.
    eventually(lambda: descriptors(busy) <= before - len(travellers) + 8)
