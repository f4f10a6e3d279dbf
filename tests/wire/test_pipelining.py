"""Several requests sent at once are answered in order, one at a time (RFC 9112, section 9.3.2)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import eventually


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def test_responses_come_in_order(serve, dial):
    peer = dial(serve("sleepy", "--threads", "4"))
    paths = ["/300", "/fast", "/50", "/last"]
    peer.send(b"".join(get(path) for path in paths))
    assert [peer.response().body.decode() for _ in paths] == paths


@pytest.mark.parametrize("size", [1, 7, 64])
def test_cut_anywhere(serve, dial, size):
    peer = dial(serve("mirror"))
    head = b"POST /%d HTTP/1.1\r\nHost: a\r\n"
    sized = head + b"Content-Length: 5\r\n\r\nhello"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    peer.send_in_pieces(b"".join((sized if n % 2 else chunked) % n for n in range(10)), size)
    for number in range(10):
        told = json.loads(peer.response().body)
        assert (told["path"], told["body"]) == (f"/{number}", "hello")
    assert peer.is_idle()


def test_nothing_after_a_close_is_served(serve, dial):
    server = serve("hello")
    peer = dial(server)
    peer.send(get("/first", "Connection: close") + get("/second"))
    assert peer.response().closes
    assert peer.closed_by_server()
    eventually(lambda: "/first" in server.access_log())
    assert "/second" not in server.access_log()


def test_nothing_after_a_reject_is_served(serve, dial):
    server = serve("hello")
    peer = dial(server)
    peer.send(get("/first") + b"GET  /bad HTTP/1.1\r\nHost: a\r\n\r\n" + get("/second"))
    assert peer.response().status == 200
    refused = peer.response()
    assert (refused.status, refused.closes) == (400, True)
    assert peer.closed_by_server()
    assert dial(server).get("/after").status == 200
    eventually(lambda: "/after" in server.access_log())
    assert "/second" not in server.access_log()


@pytest.mark.parametrize("size", [4096, 8192, 16384, 65536])
def test_nothing_after_a_reject_that_fills_a_buffer_is_served(serve, dial, size):
    """A refused head that ends where a read buffer ends: what follows starts a new read."""
    server = serve("hello", "--limit-request-field_size", "0")
    bad = b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: "
    bad += b"x" * (size - len(bad) - 4) + b"\r\n\r\n"
    peer = dial(server)
    peer.send(bad + get("/second"))
    assert peer.response().status in (400, 431)
    assert peer.closed_by_server()
    assert dial(server).get("/after").status == 200
    eventually(lambda: "/after" in server.access_log())
    assert "/second" not in server.access_log()


def test_a_flood_is_not_read_ahead(serve, dial):
    """A million requests behind a slow one: they wait in the socket, not in memory."""
    server = serve("sleepy")
    assert dial(server).get("/warm").status == 200
    (worker,) = server.workers()
    before = resident(worker)
    peer = dial(server, timeout=1)
    with pytest.raises(TimeoutError):
        peer.socket.sendall(get("/20") * 1_000_000)
    assert resident(worker) - before < 16 << 20
    peer.reset()
    assert dial(server).get("/after").body == b"/after"


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
