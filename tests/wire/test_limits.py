"""Sizes above which a request is refused, and what fits just so."""

from __future__ import annotations

import pytest


def line(length: int) -> bytes:
    """A request whose first line has this many bytes."""
    bare = b"GET / HTTP/1.1"
    return b"GET /" + b"x" * (length - len(bare)) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def with_fields(*fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def sized_field(length: int) -> bytes:
    return b"X-A: " + b"v" * (length - 5)


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("hello")


@pytest.fixture(scope="module")
def narrow(serve_module):
    return serve_module(
        "mirror",
        *("--limit-request-line", "100"),
        *("--limit-request-fields", "5"),
        *("--limit-request-field_size", "50"),
        *("--limit-request-body", "1000"),
    )


@pytest.mark.parametrize("pieces", [None, 1000])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (line(8190), 200),
        (line(8191), 414),
        (line(100_000), 414),
        (with_fields(sized_field(8190)), 200),
        (with_fields(sized_field(8191)), 431),
        (with_fields(*[b"X-%d: a" % n for n in range(99)]), 200),
        (with_fields(*[b"X-%d: a" % n for n in range(100)]), 431),
        (with_fields(*[b"X-A: a"] * 99), 200),
        (with_fields(*[sized_field(8000)] * 9), 431),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{len(value)}-bytes",
)
def test_default(server, dial, data, status, pieces):
    peer = dial(server)
    if pieces:
        peer.send_in_pieces(data, pieces)
    else:
        peer.send(data)
    response = peer.response()
    assert response.status == status
    if status != 200:
        assert response.closes
        assert peer.closed_by_server()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (line(100), 200),
        (line(101), 414),
        (with_fields(sized_field(50)), 200),
        (with_fields(sized_field(51)), 431),
        (with_fields(*[b"X-%d: a" % n for n in range(4)]), 200),
        (with_fields(*[b"X-%d: a" % n for n in range(5)]), 431),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, 200),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{len(value)}-bytes",
)
def test_configured(narrow, dial, data, status):
    peer = dial(narrow)
    peer.send(data)
    assert peer.response().status == status
    if status != 200:
        assert peer.closed_by_server()


def test_chunked_body_is_counted_over_its_chunks(narrow, dial):
    peer = dial(narrow)
    peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    for _ in range(9):
        peer.send(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert peer.is_idle()
    peer.send(b"1\r\nx\r\n")
    assert peer.response().status == 413
    assert peer.closed_by_server()


def test_bytes_without_an_end_are_refused_early(server, dial):
    """A line that never ends is refused at its limit, not collected."""
    peer = dial(server)
    peer.send(b"x" * 200_000)
    assert peer.response().status in (400, 414, 501)
    assert peer.closed_by_server()
