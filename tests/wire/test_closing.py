"""How connections end: half-closes, unread bodies, errors that must reach the client."""

from __future__ import annotations

import json

import pytest

from support import eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_half_close_after_a_request_still_gets_the_response(serve, dial):
    peer = dial(serve("sleepy"))
    peer.send(b"GET /200 HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.half_close()
    assert peer.response().body == b"/200"
    assert peer.closed_by_server()


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_half_close_inside_a_request_ends_it(serve, dial, part):
    server = serve("mirror")
    peer = dial(server)
    peer.send(part)
    peer.half_close()
    rest = peer.rest()
    assert rest == b"" or rest.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    # What was cut never reached the application, which answers 200 to whatever it gets.
    told = dial(server).get("/next")
    assert json.loads(told.body)["path"] == "/next"
    eventually(lambda: "/next" in server.access_log())
    assert " 200 " not in server.access_log().replace('/next HTTP/1.1" 200 ', "")


@pytest.mark.parametrize("size", [5, 70_000, 3_000_000])
def test_unread_body_never_becomes_a_request(serve, dial, size):
    server = serve("hello")  # reads no body
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    peer = dial(server)
    peer.send(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body + GET)
    assert peer.response().status == 200
    # The connection may end here; if it stays, the next answer is that of the real GET.
    rest = peer.rest()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert dial(server).get("/after").status == 200
    eventually(lambda: "/after" in server.access_log())
    assert "/smuggled" not in server.access_log()


def test_refusal_reaches_a_client_that_is_still_sending(serve, dial):
    server = serve("mirror", "--limit-request-body", "1000")
    for _ in range(20):
        with dial(server) as peer:
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
            peer.send(b"x" * 200_000)
            assert peer.response().status == 413


def test_error_page_repeats_nothing_of_the_request(serve, dial):
    peer = dial(serve("hello"))
    peer.send(b"GET /<script>x HTTP/1.1\r\nHost: a\r\nEvil Field: <script>y\r\n\r\n")
    response = peer.response()
    assert response.status == 400
    assert b"script" not in response.body
    assert response.get("Date")
    assert response.get("Content-Length") == str(len(response.body))


def test_error_page_for_head_has_no_body(serve, dial):
    peer = dial(serve("hello"))
    peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert peer.response(to="HEAD").status == 400
    assert peer.closed_by_server()
