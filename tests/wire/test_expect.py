"""`Expect: 100-continue` (RFC 9110, section 10.1.1)."""

from __future__ import annotations

import json

import pytest

EXPECT = b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("mirror", "--limit-request-body", "1000")


def test_client_is_told_to_go_on_once(server, dial):
    peer = dial(server)
    for _ in range(2):
        peer.send(EXPECT % 5)
        interim = peer.head()
        assert (interim.status, interim.fields) == (100, [])
        assert peer.is_idle()
        peer.send(b"hello")
        assert json.loads(peer.response().body)["body"] == "hello"


def test_chunked_body(server, dial):
    peer = dial(server)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n")
    peer.send(b"Transfer-Encoding: chunked\r\n\r\n")
    assert peer.head().status == 100
    peer.send(b"5\r\nhello\r\n0\r\n\r\n")
    assert json.loads(peer.response().body)["body"] == "hello"


def test_body_that_came_along_may_be_answered_without_100(server, dial):
    peer = dial(server)
    peer.send(EXPECT % 5 + b"hello")
    assert json.loads(peer.response(interim_allowed=True).body)["body"] == "hello"
    assert peer.is_idle()


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_empty_body_hangs_nobody(server, dial, length):
    peer = dial(server)
    peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + length + b"\r\n")
    assert peer.response(interim_allowed=True).status == 200


def test_http_1_0_gets_no_interim_response(server, dial):
    peer = dial(server)
    peer.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert peer.is_idle()
    peer.send(b"hello")
    assert json.loads(peer.response().body)["body"] == "hello"


def test_too_large_a_body_is_refused_before_it_is_sent(server, dial):
    peer = dial(server)
    peer.send(EXPECT % 1001)
    response = peer.response()
    assert (response.status, response.closes) == (413, True)
    assert peer.closed_by_server()


def test_other_expectations_are_refused(server, dial):
    peer = dial(server)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 5\r\n\r\n")
    assert peer.response().status == 417
    assert peer.closed_by_server()
