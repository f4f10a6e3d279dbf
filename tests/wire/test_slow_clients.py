"""No client can hold an application thread, and each wait has a limit."""

from __future__ import annotations

import json

import pytest

from support import eventually

MIB = 1 << 20


@pytest.mark.parametrize("threads", [1, 4])
def test_silent_uploads_leave_the_threads_free(serve, dial, threads):
    server = serve("mirror", "--threads", str(threads), workers=2)
    for _ in range(4 * threads):
        dial(server).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
    for _ in range(10):
        assert dial(server).get().status == 200


@pytest.mark.parametrize("threads", [1, 4])
def test_clients_that_never_read_leave_the_threads_free(serve, dial, threads):
    server = serve("sized", "--threads", str(threads), workers=2)
    for _ in range(2 * threads):
        for path in (b"/33554432", b"/33554432/65536"):
            dial(server).send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(10):
        assert dial(server).get("/5").body == b"xxxxx"
    server.expected_exit = None  # the stop may cut what nobody reads


def test_slow_reader_gets_every_byte(serve, dial):
    peer = dial(serve("sized"))
    for path in ("/8388608", "/8388608/10000"):
        assert peer.get(path).body == b"x" * 8 * MIB


@pytest.mark.parametrize("silent", [True, False])
def test_idle_connections_do_not_count_as_work(serve, dial, silent):
    server = serve("hello", "--worker-connections", "20", "--client-head-timeout", "1")
    idle = [dial(server) for _ in range(60)]
    if not silent:
        for peer in idle:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(5):
        assert dial(server).get().status == 200


def test_many_silent_connections_are_only_memory(serve, dial):
    server = serve("hello")
    for _ in range(600):
        dial(server)
    for _ in range(5):
        assert dial(server).get().status == 200


def test_dripped_head_is_given_up(serve, dial):
    """Each byte on its own keeps the client talking, but does not extend the limit."""
    server = serve("hello", "--client-head-timeout", "1")
    peer = dial(server)
    peer.send(b"GET / HTTP/1.1\r\n")

    def drip() -> bool:
        peer.send(b"X")
        return not peer.is_idle(0.1)

    eventually(drip)
    rest = peer.rest()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    assert dial(server).get().status == 200


def test_silent_connection_is_closed(serve, dial):
    server = serve("hello", "--client-head-timeout", "1")
    assert dial(server).closed_by_server()


def test_stalled_body_is_given_up(serve, dial):
    server = serve("mirror", "--client-body-grace", "1")
    peer = dial(server)
    peer.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
    assert peer.response().status == 408
    assert peer.closed_by_server()
    assert json.loads(dial(server).get("/next").body)["path"] == "/next"


def test_client_that_takes_nothing_is_given_up(serve, dial):
    server = serve("sized", "--client-send-timeout", "1")
    peer = dial(server)
    peer.send(b"GET /33554432 HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: "/33554432" in server.access_log())
    eventually(lambda: not server.connections())
    assert len(peer.rest()) < 32 * MIB
