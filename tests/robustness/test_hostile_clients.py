"""What clients do to hurt, and what it must not cost: memory, processor time, other clients."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import threading
import time
from pathlib import Path

import pytest

from support import eventually

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def processor_time(pids):
    """Seconds that these processes have used in all."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / CLOCK_TICKS


def is_spinning(pids, seconds=1.0):
    """Whether they use more than half a core while nothing happens."""
    before = processor_time(pids)
    time.sleep(seconds)
    return processor_time(pids) - before > seconds / 2


def memory(pid):
    """Resident bytes that are the process's own."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024


def read_on(peer):
    """Reads beside the test, so that the peer's socket never fills up."""

    def read():
        with contextlib.suppress(OSError):
            while peer.socket.recv(65536):
                pass

    threading.Thread(target=read, daemon=True).start()


def test_a_flood_of_pipelined_requests_is_not_read_ahead(serve, dial):
    server = serve("abused")
    (worker,) = server.workers()
    peer = dial(server)
    assert peer.get("/").status == 200
    before = memory(worker)
    flood = b"GET /sleep/0.002 HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000
    peer.socket.settimeout(4)
    # It takes only as much as the kernel buffers and it answers.
    with pytest.raises(TimeoutError):
        peer.socket.sendall(flood * 10)
    assert memory(worker) - before < 8 << 20
    peer.reset()
    assert dial(server).get("/").status == 200


def test_clients_that_say_nothing_more_cost_no_processor_time(serve, dial):
    server = serve("abused", workers=1)
    workers = server.workers()
    big = 3_000_000
    shapes = {
        "idle": lambda peer: peer.get("/"),
        "silent": lambda peer: None,
        "half a head": lambda peer: peer.send(b"GET / HT"),
        "half a body": lambda peer: peer.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
        ),
        "refused and lingering": lambda peer: peer.send(b"nonsense\r\n\r\n"),
        "not reading": lambda peer: peer.send(
            f"GET /big/{big * 5} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        ),
        "not reading, more sent": lambda peer: peer.send(
            f"GET /big/{big * 5} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000
        ),
        "not reading, half closed": lambda peer: (
            peer.send(f"GET /big/{big * 5} HTTP/1.1\r\nHost: a\r\n\r\n".encode()),
            peer.half_close(),
        ),
    }
    for shape, begin in shapes.items():
        peer = dial(server)
        begin(peer)
        time.sleep(0.1)
        assert not is_spinning(workers), shape
    assert dial(server).get("/").status == 200


def test_clients_that_half_close_or_reset_during_a_slow_call_cost_no_processor_time(serve, dial):
    for options in ([], ["--threads", "4"]):
        server = serve("abused", *options)
        workers = server.workers()
        for end in ("half_close", "reset"):
            for target in (b"/sleep/3", b"/endless/1"):
                peer = dial(server)
                peer.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                time.sleep(0.1)
                getattr(peer, end)()
                if end == "half_close":
                    read_on(peer)
                assert not is_spinning(workers), (options, end, target)
                if end == "half_close":
                    peer.reset()
        assert dial(server).get("/").status == 200


def test_a_child_of_the_application_keeps_no_client_waiting_and_costs_nothing(serve, dial):
    server = serve("abused")
    (worker,) = server.workers()
    others = [dial(server) for _ in range(3)]
    for other in others:
        assert other.get("/").status == 200
    peer = dial(server)
    peer.send(b"GET /fork/6 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    # The child has the socket too, and must not keep it open for the client.
    peer.socket.settimeout(4)
    assert peer.response().status == 200
    assert peer.closed_by_server()
    # Nor may what the child has open make the worker spin when its clients hang up.
    for other in others:
        other.socket.close()
    assert not is_spinning([worker])
    assert dial(server).get("/").status == 200


@pytest.mark.parametrize("options", [[], ["--threads", "2"]])
def test_an_endless_response_ends_with_its_client_and_is_closed_once(serve, dial, options):
    server = serve("abused", *options)
    for size in (1, 100_000):
        peer = dial(server)
        peer.send(f"GET /endless/{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert peer.head().status == 200
        peer.reset()
    assert dial(server).get("/").status == 200
    eventually(lambda: server.log().count("closed the endless one") >= 2)
    assert server.stop() == 0
    assert server.log().count("closed the endless one") == 2


def test_no_descriptors_left_is_survived_without_spinning(serve, dial):
    server = serve("abused", "--worker-connections", "1000")
    (worker,) = server.workers()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (40, 40))
    peers = [dial(server) for _ in range(60)]
    for peer in peers:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: "out of file descriptors" in server.log())
    assert not is_spinning([worker])
    for peer in peers:
        peer.reset()
    assert dial(server).get("/").status == 200
    assert server.workers() == [worker]


@pytest.mark.parametrize("options", [[], ["--threads", "4"]])
def test_all_places_taken_by_busy_clients_is_waited_out_without_spinning(serve, dial, options):
    server = serve("abused", "--worker-connections", "8", *options)
    workers = server.workers()
    busy = [dial(server) for _ in range(8)]
    for peer in busy:
        peer.send(b"GET /sleep/0.3 HTTP/1.1\r\nHost: a\r\n\r\n")
    new = [dial(server) for _ in range(8)]
    for peer in new:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not is_spinning(workers)
    for peer in busy + new:
        assert peer.response().status == 200


def test_places_taken_by_idle_clients_are_given_to_new_ones(serve, dial):
    server = serve("abused", "--worker-connections", "8")
    idle = [dial(server) for _ in range(8)]
    for peer in idle:
        assert peer.get("/").status == 200
    for _ in range(20):
        assert dial(server).get("/").status == 200


def test_a_worker_that_is_never_idle_is_not_taken_for_a_stuck_one(serve, dial):
    server = serve("abused", "--timeout", "2")
    (worker,) = server.workers()
    until = time.monotonic() + 7
    failures = []

    def client():
        with dial(server) as peer:
            while time.monotonic() < until:
                if peer.get("/sleep/0.02").body != str(worker).encode():
                    failures.append("another worker")

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert server.workers() == [worker]
    assert "WORKER TIMEOUT" not in server.log()


def test_what_the_application_was_lent_does_no_harm_when_the_request_is_over(serve, dial):
    for options in ([], ["--threads", "4"], ["--request-buffering", "false"]):
        server = serve("abused", *options)
        workers = server.workers()
        for _ in range(100):
            peer = dial(server)
            peer.send(b"POST /keep HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
            # An unbuffered body may be in the other thread's hands when the response begins.
            assert peer.response().status in (200, 500)
        assert server.workers() == workers


def test_a_response_head_of_any_size_goes_out_whole(serve, dial):
    server = serve("abused")
    peer = dial(server)
    for count in (1, 10, 60):
        response = peer.get(f"/fields/{count}")
        assert response.status == 200
        assert response.get(f"X-{count - 1}") == "v" * 60_000
        assert response.body == b"done"


def test_an_idle_sibling_takes_the_new_connections(serve, dial):
    """Probe A: two workers with one thread each; one of them is busy."""
    server = serve("abused", workers=2)
    eventually(lambda: len(server.workers()) == 2)
    busy = dial(server)
    busy.send(b"GET /sleep/3 HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    others = set()
    for _ in range(20):
        with dial(server) as peer:
            others.add(peer.get("/").body)
    still_busy = busy.is_idle(0.01)
    pid = busy.response().body
    assert not still_busy or pid not in others


@pytest.mark.parametrize("options", [[], ["--threads", "2"]])
def test_slow_uploads_and_downloads_hold_no_thread(serve, dial, options):
    """Probes B and C: more bad clients than threads, then a good one."""
    server = serve("abused", *options)
    for _ in range(4):
        dial(server).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        dial(server).send(b"GET /big/33554432 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert dial(server).get("/").status == 200
