"""Clients that make work for nothing: each flood has a bound, and nobody else notices.

Each comes once to see how it ends, and then over and over while other clients ask.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hyperframe.frame import HeadersFrame, RstStreamFrame

from support import eventually
from support.http2 import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, PREFACE, Http2Peer, fields
from support.program import Program
from support.server import command

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9


def peak_of(pids) -> int:
    """Kibibytes that these processes had at most."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(status.split("VmHWM:")[1].split()[0])
    return total


class Besieged:
    """A server that is flooded while others ask it. It serves `sleepy` or `sized`."""

    def __init__(self, server, dial2, path: str, body: bytes) -> None:
        self.server, self.path, self.body = server, path, body
        self.connect = lambda **how: dial2(server, **how)
        self.workers = server.workers()
        self.ask(self.connect())
        self.before = peak_of(self.workers)

    def ask(self, peer: Http2Peer) -> None:
        """A request of somebody who means no harm, with its answer."""
        assert peer.response(peer.get(self.path)).body == self.body

    def withstands(self, flood: Callable[[Http2Peer], object], rounds: int = 3, **how) -> None:
        """Has somebody flood it on one connection after the other, and others ask meanwhile, until
        there were so many floods; then looks whether memory was bounded all the time."""
        done, faults, stop = [], [], threading.Event()

        def attack() -> None:
            try:
                while not stop.is_set():
                    with contextlib.closing(self.server.connect()) as sock:
                        flood(Http2Peer(sock, **how))
                    done.append(True)
            except Exception as fault:
                faults.append(fault)

        thread = threading.Thread(target=attack, daemon=True)
        kept, asked = self.connect(), 0
        self.ask(kept)
        thread.start()
        try:
            while thread.is_alive() and (len(done) < rounds or asked < 10):
                self.ask(kept)
                with contextlib.closing(self.server.connect()) as sock:
                    self.ask(Http2Peer(sock))
                asked += 1
        finally:
            stop.set()
            thread.join(60)
        if faults:
            raise faults[0]
        assert not thread.is_alive()
        assert asked >= 10
        self.is_well()

    def is_well(self) -> None:
        """Nobody died, and memory is what it may be."""
        self.ask(self.connect())
        assert self.server.workers() == self.workers
        assert peak_of(self.workers) - self.before < 24 * 1024


@pytest.fixture
def besieged(serve2, dial2):
    """A server whose application takes a while."""
    return Besieged(serve2("sleepy", "--threads", "2"), dial2, "/well", b"/well")


FLOODS = {
    "ping": (PING, 0, 0, bytes(8)),
    "settings": (SETTINGS, 0, 0, b""),
    "settings with values": (SETTINGS, 0, 0, bytes([0, 4, 0, 0, 255, 255])),
    "priority": (PRIORITY, 0, 1, bytes([0, 0, 0, 0, 1])),
    "window": (WINDOW, 0, 0, bytes([0, 0, 0, 1])),
    "unknown": (77, 0, 0, b"x"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_frames_that_carry_nothing_end_the_connection(besieged, name):
    kind, flags, stream, payload = FLOODS[name]

    def flood(peer: Http2Peer) -> int | None:
        peer.round_trip()
        for _ in range(100):
            with peer.at_once():
                for _ in range(100):
                    peer.raw_frame(kind, flags, stream, payload)
        return peer.ended()

    assert flood(besieged.connect()) == ENHANCE_YOUR_CALM
    eventually(lambda: "Connection from ip=127.0.0.1 ended: " in besieged.server.log())
    besieged.withstands(flood)


def test_answers_that_nobody_reads_do_not_pile_up(besieged):
    """PING and SETTINGS in the number that is permitted, from a client that takes no answer."""

    def flood(peer: Http2Peer) -> None:
        for _ in range(450):
            peer.raw_frame(PING, 0, 0, bytes(8))
            peer.raw_frame(SETTINGS, 0, 0, b"")

    peer = besieged.connect()
    flood(peer)
    peer.until(lambda: len(peer.pongs) == 450)
    besieged.withstands(flood, rounds=30)


def test_rapid_reset(besieged):
    """CVE-2023-44487: the application never works for more than the permitted streams."""

    def flood(peer: Http2Peer) -> int | None:
        peer.round_trip()
        for _ in range(100):
            frames = []
            for _ in range(100):
                stream = peer.next_stream()
                head = peer.encoder.encode(fields("/20"))
                frames.append(HeadersFrame(stream, head, flags=["END_HEADERS", "END_STREAM"]))
                frames.append(RstStreamFrame(stream, error_code=CANCEL))
            peer.send_frame(*frames)
        return peer.ended()

    assert flood(besieged.connect()) == ENHANCE_YOUR_CALM
    besieged.withstands(flood)


def test_reset_streams_keep_their_place_while_the_application_works(serve2, dial2):
    server = serve2("sleepy", "--http2-max-concurrent-streams", "2", "--threads", "4")
    peer = dial2(server)
    peer.round_trip()
    slow = [peer.get("/6000") for _ in range(2)]
    peer.round_trip()
    for stream in slow:
        peer.reset(stream)
    refused = peer.response(peer.get("/refused"))
    assert refused.reset == 7

    def has_room() -> bool:
        return peer.response(peer.get("/fine")).status == 200

    eventually(has_room)


def test_made_you_reset(besieged):
    """CVE-2025-8671: the client has the server reset streams, by faults of its own."""

    def flood(peer: Http2Peer) -> int | None:
        peer.round_trip()
        for _ in range(100):
            with peer.at_once():
                for _ in range(20):
                    stream = peer.get("/20")
                    peer.raw_frame(WINDOW, 0, stream, bytes(4))
        return peer.ended()

    assert flood(besieged.connect()) is not None
    besieged.withstands(flood)


def test_continuation(besieged):
    """CVE-2024-27316: a head that never ends."""

    def flood(peer: Http2Peer) -> int | None:
        peer.round_trip()
        peer.raw_frame(HEADERS, 1, peer.next_stream(), peer.encoder.encode(fields()))
        for _ in range(100):
            with peer.at_once():
                for number in range(100):
                    peer.raw_frame(CONTINUATION, 0, 1, b"\0\1a\1b" if number % 2 else b"")
        return peer.ended()

    assert flood(besieged.connect()) is not None
    besieged.withstands(flood)


@pytest.mark.parametrize("padded", [False, True])
def test_data_without_data(besieged, padded):
    """CVE-2019-9518: frames that are empty, or all padding."""
    flags, payload = (8, b"\x05" + bytes(5)) if padded else (0, b"")

    def flood(peer: Http2Peer) -> int | None:
        stream = peer.headers(fields("/", "POST"), end=False)
        for _ in range(100):
            with peer.at_once():
                for _ in range(100):
                    peer.raw_frame(DATA, flags, stream, payload)
        return peer.ended()

    assert flood(besieged.connect()) == ENHANCE_YOUR_CALM
    besieged.withstands(flood)


def test_hpack_bomb(besieged):
    """CVE-2016-6581: few bytes that stand for many."""

    def flood(peer: Http2Peer) -> None:
        peer.round_trip()
        big = [("x-bomb", "x" * 4000)]
        block = peer.encoder.encode([*fields(), *big])
        block += peer.encoder.encode(big) * 3000
        peer.raw_frame(HEADERS, 5, peer.next_stream(), block)
        stream = peer.stream(1)
        while not (stream.is_over or stream.reset is not None) and peer.step():
            pass
        assert peer.is_closed or stream.status == 431 or stream.reset is not None

    flood(besieged.connect())
    besieged.withstands(flood, rounds=30)


def test_zero_windows_are_given_up(serve2, dial2):
    server = serve2("sized", "--client-send-timeout", "1", "--threads", "2")
    besieged = Besieged(server, dial2, "/100000", b"x" * 100_000)

    def flood(peer: Http2Peer) -> None:
        streams = [peer.get("/1000000") for _ in range(5)]
        for stream in streams:
            assert peer.response(stream).reset == CANCEL

    besieged.withstands(flood, rounds=2, windows=False)


def test_a_window_of_nothing_at_all_is_given_up(serve2, dial2):
    server = serve2("sized", "--client-send-timeout", "1")
    besieged = Besieged(server, dial2, "/1000", b"x" * 1000)

    def flood(peer: Http2Peer) -> None:
        peer.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0, 0, 0, 0]))
        assert peer.response(peer.get("/1000")).reset == CANCEL

    besieged.withstands(flood, rounds=2, windows=False)


def test_many_responses_that_wait_do_not_fill_the_memory(serve2, dial2):
    """What one stream may have in memory, not every stream of a connection has at a time."""
    server = serve2("sized", "--threads", "2", "--client-send-timeout", "120")
    besieged = Besieged(server, dial2, "/240000", b"x" * 240_000)
    peers = [dial2(server, windows=False) for _ in range(3)]
    for peer in peers:
        peer.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0, 0, 0, 0]))
        for _ in range(90):
            peer.get("/240000")
        besieged.is_well()
    eventually(lambda: server.access_log().count(" 240000 ") == 274)
    besieged.is_well()
    # They are all there, in memory or not.
    last = peers[-1]
    last.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0, 15, 255, 255]))
    last.window(0, 1 << 30)
    for stream in (1, 179):
        assert len(last.response(stream).body) == 240_000


def test_a_client_that_reads_nothing_is_cut(serve2, dial2):
    server = serve2("sized", "--client-send-timeout", "1")
    peer = dial2(server)
    peer.window(0, 1 << 30)
    for _ in range(50):
        stream = peer.get("/2000000")
        peer.window(stream, 1 << 28)
    # Others are answered while it is there.
    for _ in range(3):
        with contextlib.closing(server.connect()) as sock:
            other = Http2Peer(sock)
            assert len(other.response(other.get("/10")).body) == 10
    eventually(lambda: server.connections() == 0)


def test_a_slow_download_does_not_stay_in_memory(tmp_path):
    """What was sent is forgotten, also while something waits all the time."""
    size = 12 * 1024 * 1024
    with socket.socket() as listener:
        # What the socket of each connection takes at a time is less than what waits for it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = ("-b", f"fd://{listener.fileno()}")
        argv = [*command(), "--http2-cleartext", "prior-knowledge", *address, "apps.sized:app"]
        program = Program(argv, tmp_path, pass_fds=[listener.fileno()])
        try:
            with socket.create_connection(listener.getsockname(), timeout=60) as sock:
                peer = Http2Peer(sock, windows=False)
                assert len(peer.response(peer.get("/1000")).body) == 1000
                before = peak_of(children(program.process.pid))
                peer.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0x7F, 0xFF, 0xFF, 0xFF]))
                peer.window(0, 1 << 30)
                # In pieces of so much: one would be in the application's memory.
                peer.get(f"/{size}/{1 << 16}")
                got = 0
                while got < size:
                    piece = sock.recv(1 << 16)
                    assert piece, program.log()
                    got += len(piece)
                assert peak_of(children(program.process.pid)) - before < 6 * 1024
            assert program.ends(signal.SIGTERM) == 0
        finally:
            program.end()


def children(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_slow_heads_end_the_connection(serve2, dial2):
    server = serve2("hello", "--client-head-timeout", "1")
    for begin in (slow_preface, slow_frame, slow_head):
        peer = dial2(server, begin=begin is not slow_preface)
        begin(peer)
        assert peer.ended() in (None, NO_ERROR, ENHANCE_YOUR_CALM)


def slow_preface(peer: Http2Peer) -> None:
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM")


def slow_frame(peer: Http2Peer) -> None:
    peer.round_trip()
    peer.send(b"\0\0\x10\1")


def slow_head(peer: Http2Peer) -> None:
    peer.round_trip()
    peer.raw_frame(HEADERS, 1, 1, peer.encoder.encode(fields()))


@pytest.mark.parametrize("begin", ["preface", "head"])
def test_octets_that_drip_do_not_extend_the_time(serve2, dial2, begin):
    server = serve2("hello", "--client-head-timeout", "2")
    peer = dial2(server, begin=begin != "preface")
    octets = itertools.chain(PREFACE[:20])
    if begin == "head":
        peer.round_trip()
        peer.raw_frame(HEADERS, 1, 1, peer.encoder.encode(fields()))
        octets = itertools.chain.from_iterable(itertools.repeat(b"\0\0\1\x09\0\0\0\0\1\0"))
    peer.socket.settimeout(0.2)
    begun = time.monotonic()
    for octet in octets:
        peer.send(bytes([octet]))
        try:
            if not peer.step():
                break
        except TimeoutError:
            assert time.monotonic() - begun < 60
    else:
        # All of it was sent, and the end is still to come.
        peer.socket.settimeout(60)
    assert peer.ended() in (None, NO_ERROR, ENHANCE_YOUR_CALM)
    other = dial2(server)
    assert other.response(other.get()).status == 200


def test_windows_opened_by_an_octet_end_the_connection(serve2, dial2):
    """CVE-2019-9511: each octet of a window costs a frame, and earns none."""
    server = serve2("sized", "--threads", "2")
    peer = dial2(server, windows=False)
    peer.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0, 0, 0, 0]))
    stream = peer.get("/1000000")
    while peer.goaway is None and not peer.is_closed:
        peer.window(stream, 1)
        peer.step()
    assert peer.goaway in (None, ENHANCE_YOUR_CALM)
    assert len(peer.stream(stream).body) < 20_000
    other = dial2(server)
    assert len(other.response(other.get("/1000")).body) == 1000


def test_windows_opened_for_each_short_item_are_no_flood(serve2, dial2):
    """As clients do it that look at nothing but the frame at hand."""
    peer = dial2(serve2("responses", "--threads", "2"))
    stream = peer.get("/endless")
    peer.until(lambda: len(peer.stream(stream).body) > 60_000)
    peer.reset(stream)
    assert peer.response(peer.get("/list")).body == b"one"


def test_slow_bodies_get_408(serve2, dial2):
    server = serve2("mirror", "--client-body-grace", "1")
    peer = dial2(server)
    slow = peer.headers(fields("/", "POST"), end=False)
    peer.data(slow, b"x")
    assert peer.response(peer.get("/meanwhile")).status == 200
    assert peer.response(slow).status == 408
    assert peer.response(peer.get("/after")).status == 200
    eventually(lambda: " 408 " in server.access_log())


def test_a_flood_does_not_stop_a_drain(serve2, dial2):
    server = serve2("hello", "--graceful-timeout", "3")
    peer = dial2(server)
    peer.pings = False
    peer.response(peer.get())
    stream = peer.headers(fields("/", "POST"), end=False)
    peer.round_trip()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert stream
