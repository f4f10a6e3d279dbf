"""The life of a connection: idle, drained, limited."""

from __future__ import annotations

import signal
import time

from support import eventually
from support.http2 import NO_ERROR, fields


def test_a_stop_answers_what_was_asked_and_says_goodbye(serve2, dial2, kind):
    server = serve2("sleepy", *kind)
    peer = dial2(server)
    peer.round_trip()
    idle = dial2(server)
    idle.response(idle.get("/first"))
    stream = peer.get("/1500")
    peer.round_trip()
    server.signal(signal.SIGTERM)
    assert idle.ended() == NO_ERROR
    assert peer.response(stream).body == b"/1500"
    assert peer.ended() == NO_ERROR
    assert peer.last_stream == stream
    assert server.wait() == 0


def test_a_reload_moves_clients_to_the_new_workers(serve2, dial2):
    server = serve2("hello")
    peer = dial2(server)
    assert peer.response(peer.get()).status == 200
    before = server.workers()
    server.signal(signal.SIGHUP)
    assert peer.ended() == NO_ERROR
    eventually(lambda: server.workers() and not set(server.workers()) & set(before))
    again = dial2(server)
    assert again.response(again.get()).status == 200


def test_a_worker_that_is_replaced_says_goodbye(serve2, dial2):
    server = serve2("hello", "--max-requests", "5")
    peer = dial2(server)
    answered = 0
    while answered < 5:
        assert peer.response(peer.get()).status == 200
        answered += 1
    assert peer.ended() == NO_ERROR
    again = dial2(server)
    assert again.response(again.get()).status == 200


def test_requests_of_a_connection_are_limited(serve2, dial2):
    peer = dial2(serve2("hello", "--keepalive-requests", "3"))
    streams = [peer.get() for _ in range(3)]
    assert [peer.response(stream).status for stream in streams] == [200] * 3
    assert peer.ended() == NO_ERROR
    assert peer.last_stream == streams[-1]


def test_an_idle_connection_ends(serve2, dial2):
    server = serve2("sleepy", "--keep-alive", "1")
    peer = dial2(server)
    began = time.monotonic()
    assert peer.response(peer.get("/2500")).status == 200
    assert time.monotonic() - began > 2.4, "a connection with a stream is not idle"
    assert peer.ended() == NO_ERROR
    eventually(lambda: server.connections() == 0)


def test_pings_do_not_keep_a_connection(serve2, dial2):
    peer = dial2(serve2("hello", "--keep-alive", "1"))
    assert peer.response(peer.get()).status == 200
    peer.socket.settimeout(0.1)
    give_up = time.monotonic() + 30
    while not peer.is_closed and time.monotonic() < give_up:
        peer.ping()
        try:
            peer.step()
            time.sleep(0.05)
        except TimeoutError:
            pass
    assert peer.is_closed


def test_the_oldest_idle_connection_makes_room(serve2, dial2):
    server = serve2("hello", "--worker-connections", "2")
    first = dial2(server)
    assert first.response(first.get()).status == 200
    second = dial2(server)
    assert second.response(second.get()).status == 200
    third = dial2(server)
    assert third.response(third.get()).status == 200
    assert first.ended() in (None, NO_ERROR)


def test_settings_are_told_to_the_client(serve2, dial2):
    server = serve2(
        "hello",
        "--http2-max-concurrent-streams", "7",
        "--http2-initial-window-size", "70000",
        "--http2-max-frame-size", "20000",
        "--http2-max-header-list-size", "5000",
    )  # fmt: skip
    peer = dial2(server)
    peer.response(peer.get())
    told = {number: peer.settings.get(number) for number in (3, 4, 5, 6)}
    assert told == {3: 7, 4: 70000, 5: 20000, 6: 5000}
    assert peer.settings.get(8, 0) == 0, "WebSockets are not offered (RFC 8441)"
    peer.data(peer.headers(fields("/", "POST"), end=False), b"x" * 20000, end=True)
    assert peer.response(3).status == 200
    assert peer.response(peer.get("/", ("x-long", "x" * 6000))).status == 431
    peer.round_trip()


def test_more_streams_than_permitted_are_refused(serve2, dial2):
    server = serve2("sleepy", "--http2-max-concurrent-streams", "3")
    peer = dial2(server)
    peer.round_trip()
    with peer.at_once():
        streams = [peer.get("/300") for _ in range(6)]
    said = [peer.response(stream) for stream in streams]
    assert [stream.status for stream in said[:3]] == [200] * 3
    assert [stream.reset for stream in said[3:]] == [7] * 3
    assert peer.response(peer.get("/fine")).status == 200
