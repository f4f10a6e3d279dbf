"""What the workers are doing, as another process sees it: also when they die at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import threading
import time

from oxicorn import Scoreboard
from support import Peer, eventually
from support.hogs import ENDLESS, request

PHASES = ["head", "body", "queue", "interpreter", "application", "send"]


def took_time(board, phase):
    """How many requests were in a phase for a millisecond or more."""
    return sum(board.read()["totals"]["phases"][phase]["buckets"][1:])


def test_a_request_is_seen_while_it_runs_and_counted_after(serve, dial, hogs):
    server = serve("hog", *ENDLESS, env=hogs.env)
    board = Scoreboard(server.pid)
    peer = dial(server)
    pid = hogs.begin(peer, "sleep", "slow")
    [worker] = board.read()["workers"]
    assert worker["pid"] == pid
    assert (worker["state"], worker["busy"], worker["requests"]) == ("serving", 1, 1)
    [seen] = worker["in_flight"]
    assert (seen["method"], seen["path"]) == ("GET", "/sleep/slow")
    assert seen["client"] == "127.0.0.1"
    hogs.end("slow")
    assert peer.response().status == 200
    eventually(lambda: board.read()["workers"][0]["busy"] == 0)
    assert took_time(board, "application") == 1
    application = board.read()["totals"]["phases"]["application"]
    assert application["total_ms"] > 0
    assert sum(application["buckets"]) == 1


def test_waiting_requests_are_counted_and_timed(serve, dial, hogs):
    server = serve("hog", *ENDLESS, env=hogs.env)
    board = Scoreboard(server.pid)
    slow, *waiting = [dial(server) for _ in range(4)]
    hogs.begin(slow, "sleep", "slow")
    for peer in waiting:
        peer.send(request("/fast"))
    eventually(lambda: board.read()["workers"][0]["waiting"] == 3)
    assert board.read()["workers"][0]["connections"] == 4
    time.sleep(0.05)  # what is shorter than the clock's unit counts as no time
    hogs.end("slow")
    for peer in (slow, *waiting):
        assert peer.response().status == 200
    eventually(lambda: took_time(board, "queue") == 3)
    eventually(lambda: board.read()["workers"][0]["waiting"] == 0)


def test_slow_clients_show_in_their_phase(serve, dial):
    server = serve("mirror", "--threads", "2")
    board = Scoreboard(server.pid)
    head, body, tail = b"POST / HTTP/1.1\r\nHost: t", b"est\r\nContent-Length: 6\r\n\r\nabc", b"def"
    peer = dial(server)
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def in_pieces():
        # Each piece is on its own, as something else was answered in between.
        for piece in (head, body, tail):
            peer.send(piece)
            assert dial(server).get("/").status == 200
        assert peer.response().status == 200
        return took_time(board, "head") and took_time(board, "body")

    eventually(in_pieces)


def test_a_response_that_its_client_takes_slowly_shows(serve, dial):
    server = serve("sized")
    board = Scoreboard(server.pid)
    peer = dial(server)
    peer.send(request(f"/{32 << 20}"))
    # The application is done long before.
    eventually(lambda: took_time(board, "application") or board.read()["totals"]["requests"])
    assert dial(server).get("/1").status == 200
    assert peer.response().status == 200
    eventually(lambda: took_time(board, "send") == 1)


def test_waits_for_the_interpreter_are_sampled(serve, dial):
    server = serve("hello")
    board = Scoreboard(server.pid)
    peer = dial(server)

    def is_there():
        for _ in range(20):
            assert peer.get("/").status == 200
        return sum(board.read()["totals"]["phases"]["interpreter"]["buckets"])

    eventually(is_there)


def test_a_page_for_people(serve, dial, hogs, oxicorn, tmp_path):
    pidfile = tmp_path / "pid"
    server = serve("hog", *ENDLESS, "--pid", str(pidfile), workers=2, env=hogs.env)
    peer = dial(server)
    pid = str(hogs.begin(peer, "sleep", "slow"))
    page = oxicorn("show-workers", str(server.pid)).stdout
    lines = page.splitlines()
    assert lines[0].split()[:4] == ["pid", "state", "busy", "waiting"]
    assert re.search(rf"^{pid} +serving +1 ", page, re.MULTILINE)
    assert re.search(r"^all +1 ", page, re.MULTILINE)
    assert [
        line.split()[0] for line in lines if line.split()[:1][0:1] and line.split()[0] in PHASES
    ]
    assert re.search(rf"^{pid} +[\d.]+ +127\.0\.0\.1 +GET +/sleep/slow$", page, re.MULTILINE)
    found = json.loads(oxicorn("show-workers", "--json", "--pid", str(pidfile)).stdout)
    assert sorted(worker["pid"] for worker in found["workers"]) == sorted(server.workers())
    # A worker has the same memory.
    assert json.loads(oxicorn("show-workers", "--json", pid).stdout)["totals"]["requests"] == 1
    hogs.end("slow")
    assert peer.response().status == 200


def test_requests_are_shown_with_their_ids(serve, dial, hogs, oxicorn):
    server = serve("hog", *ENDLESS, "--request-id", "on", env=hogs.env)
    peer = dial(server)
    peer.send(request("/sleep/slow", "X-Request-ID: r-1"))
    eventually(lambda: hogs.began("slow"))
    [worker] = Scoreboard(server.pid).read()["workers"]
    assert [seen["request_id"] for seen in worker["in_flight"]] == ["r-1"]
    page = oxicorn("show-workers", str(server.pid)).stdout
    assert re.search(r" 127\.0\.0\.1 +GET +r-1 +/sleep/slow$", page, re.MULTILINE)
    hogs.end("slow")
    assert peer.response().status == 200


def test_mistakes_are_told(oxicorn, tmp_path):
    for args, code, text in [
        ([], 2, "process id of a master is missing"),
        (["--yes"], 2, "unexpected `--yes`"),
        (["--pid", str(tmp_path / "none")], 1, "cannot read"),
        ([str(os.getpid())], 1, "has no scoreboard"),
        (["4194305"], 1, "cannot look into process 4194305"),
    ]:
        done = oxicorn("show-workers", *args)
        assert done.returncode == code, args
        assert text in done.stderr
    assert "usage: oxicorn show-workers" in oxicorn("show-workers", "--help").stdout


def test_a_reader_outlives_every_writer(serve):
    """Workers are killed at any instant while requests begin and end: what is read makes sense."""
    server = serve("sleepy", "--threads", "2", workers=3)
    board = Scoreboard(server.pid)
    stop = threading.Event()
    problems = []
    reads = served = 0

    def hammer(index):
        nonlocal served
        peer = Peer(server.connect())
        while not stop.is_set():
            try:
                peer.send(request("/1" if index % 2 else f"/client-{index}"))
                peer.response()
                served += 1
            except (AssertionError, OSError):
                peer.socket.close()  # its worker was killed
                with contextlib.suppress(OSError):
                    peer = Peer(server.connect())
        peer.socket.close()

    def read():
        nonlocal reads
        while not stop.is_set():
            seen = board.read()
            reads += 1
            for worker in seen["workers"]:
                if worker["state"] not in ("booting", "serving", "draining"):
                    problems.append(worker)
                if not 0 <= worker["busy"] <= 2 or worker["requests"] > 10**7:
                    problems.append(worker)
                for flight in worker["in_flight"]:
                    whole = re.fullmatch(r"/1|/client-\d", flight["path"])
                    if not whole or (flight["method"], flight["client"]) != ("GET", "127.0.0.1"):
                        problems.append(flight)
            for phase in PHASES:
                if sum(seen["totals"]["phases"][phase]["buckets"]) > 10**7:
                    problems.append(seen["totals"])

    threads = [threading.Thread(target=hammer, args=(index,)) for index in range(6)]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    chance = random.Random(1)
    try:
        for _ in range(8):
            before = served
            eventually(lambda: served > before + 20 or problems)  # noqa: B023
            time.sleep(chance.random() / 50)  # any instant
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(server.workers()), signal.SIGKILL)
        eventually(lambda: served > before + 40 or problems)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:3]
    assert reads > 20
    # What the dead have served counts.
    assert board.read()["totals"]["requests"] >= served
    eventually(lambda: all(not worker["busy"] for worker in board.read()["workers"]))


def test_a_replacement_has_nothing_of_the_one_before(serve, dial, hogs):
    server = serve("hog", *ENDLESS, env=hogs.env)
    board = Scoreboard(server.pid)
    dead = hogs.begin(dial(server), "sleep", "slow")
    os.kill(dead, signal.SIGKILL)

    def replacement():
        workers = board.read()["workers"]
        return [worker for worker in workers if worker["pid"] not in (0, dead)]

    [worker] = eventually(replacement)
    assert (worker["busy"], worker["in_flight"], worker["requests"]) == (0, [], 0)
    assert worker["phases"]["application"]["buckets"] == [0] * 20
    assert board.read()["totals"]["requests"] == 1
