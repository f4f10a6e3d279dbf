"""`request_timeout`: a request that takes too long is shown, interrupted, and at last given up."""

from __future__ import annotations

import itertools
import random
import re
import threading

import pytest

from support import Peer, eventually
from support.peer import ProtocolError

# `timeout` is another matter, see test_stuck_workers.py.
STANDARD = ("--timeout", "0")
MODES = {
    "1": ("--threads", "1"),
    "3": ("--threads", "3"),
    "gevent": ("-k", "gevent"),
    "eventlet": ("-k", "eventlet"),
    "tornado-1": ("-k", "tornado", "--threads", "1"),
    "tornado-3": ("-k", "tornado", "--threads", "3"),
}
ALONE = ("1", "tornado-1")
"""One request at a time, on the main thread."""
THREADED = ("3", "tornado-3")
GREEN = ("gevent", "eventlet")


@pytest.fixture
def folder(tmp_path):
    """Where requests are seen to begin, and are told to end."""
    yield tmp_path
    for begun in list(tmp_path.iterdir()):
        begun.with_suffix(".end").touch()


def serve_timed(serve, folder, mode, *options, **more):
    if "-k" in MODES[mode]:
        pytest.importorskip(MODES[mode][1])
    env = {"TIMED": str(folder)}
    return serve("timed", *STANDARD, *MODES[mode], *options, env=env, **more)


def begin(peer, folder, way, name="one"):
    peer.send(f"GET /{way}/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return int(eventually(lambda: (folder / name).exists() and (folder / name).read_text()))


def told(server, level, what, path, past):
    line = rf"\[{level}\] {what} GET {path} client=127\.0\.0\.1 for \d+\.\d{{3}} s, past `{past}`"
    return re.search(line, server.log())


def shown(server, path):
    """The stack of a request, and of no other one."""
    where = rf"Stack of GET {path} client=127\.0\.0\.1 \(most recent call last\):\n  File "
    stack = re.search(where + r"(.*\n(  .*\n)*)", server.log())
    return stack and "timed.py" in stack[0]


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_takes_long_is_shown_and_goes_on(serve, dial, folder, mode):
    server = serve_timed(serve, folder, mode, "--request-timeout-log", "0.2")
    peer = dial(server)
    pid = begin(peer, folder, "sleep")
    eventually(lambda: shown(server, "/sleep/one"))
    assert told(server, "WARNING", "Request takes long:", "/sleep/one", "request_timeout_log")
    (folder / "one.end").touch()
    assert peer.response().body == str(pid).encode()
    assert server.log().count("Request takes long") == 1
    assert peer.get("/remaining").body == b"None"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["sleep", "exception", "spin", "block"])
def test_a_request_that_takes_too_long_is_interrupted(serve, dial, folder, mode, way):
    if (mode in GREEN and way == "spin") or (mode in THREADED and way == "block"):
        pytest.skip("a greenlet that does not wait is for `timeout`, a call in C is given up")
    server = serve_timed(serve, folder, mode, "--request-timeout", "0.3")
    peer = dial(server)
    pid = begin(peer, folder, way)
    response = peer.response()
    assert (response.status, response.get("Connection")) == (504, "close")
    assert peer.closed_by_server()
    assert told(server, "ERROR", "Request timed out:", f"/{way}/one", "request_timeout")
    assert shown(server, f"/{way}/one")
    assert "Traceback" not in server.log()
    eventually(lambda: f'"GET /{way}/one HTTP/1.1" 504' in server.access_log())
    # The worker goes on.
    assert dial(server).get("/").body == str(pid).encode()
    assert "does not end" not in server.log()


@pytest.mark.parametrize("mode", MODES)
def test_an_application_may_answer_by_itself(serve, dial, folder, mode):
    server = serve_timed(serve, folder, mode, "--request-timeout", "0.3")
    peer = dial(server)
    pid = begin(peer, folder, "catch")
    said = b"caught: the request took longer than request_timeout"
    assert peer.response().body == said
    # The connection stays, and so does the worker.
    assert peer.get("/").body == str(pid).encode()


@pytest.mark.parametrize("mode", MODES)
def test_a_response_that_was_begun_is_cut(serve, dial, folder, mode):
    server = serve_timed(serve, folder, mode, "--request-timeout", "0.3")
    peer = dial(server)
    begin(peer, folder, "stream")
    with pytest.raises(ProtocolError):
        peer.response()
    assert told(server, "ERROR", "Request timed out:", "/stream/one", "request_timeout")
    assert dial(server).get("/").status == 200


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_the_client_is_interrupted(serve, dial, folder, mode):
    options = ("--request-timeout", "0.3", "--request-buffering", "off")
    server = serve_timed(serve, folder, mode, *options)
    peer = dial(server)
    peer.send(b"POST /read/one HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    assert peer.response().status == 504
    assert dial(server).get("/").status == 200
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("mode", MODES)
def test_a_request_may_take_more_time(serve, dial, folder, mode):
    server = serve_timed(serve, folder, mode, "--request-timeout", "0.5")
    peer = dial(server)
    begin(peer, folder, "more")
    if mode not in ALONE:
        other = dial(server)
        begin(other, folder, "sleep", "two")
        assert other.response().status == 504
    (folder / "one.end").touch()
    assert peer.response().body == b"True True"


def test_without_limits_nothing_is_left_or_extended(serve, dial, folder):
    peer = dial(serve_timed(serve, folder, "1"))
    assert peer.get("/remaining").body == b"None"
    begin(peer, folder, "more")
    (folder / "one.end").touch()
    assert peer.response().body == b"False False"


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        *itertools.product((*ALONE, *THREADED), ("mutex", "swallow", "lock")),
        *itertools.product(GREEN, ("swallow",)),
    ],
)
def test_a_request_that_does_not_end_is_given_up(serve, dial, folder, mode, way):
    options = ("--request-timeout", "0.3", "--request-timeout-grace", "0.3")
    server = serve_timed(serve, folder, mode, *options)
    peer = dial(server)
    pid = begin(peer, folder, way)
    # The client is told, although the call goes on.
    assert peer.response().status == 504
    assert peer.closed_by_server()
    line = f"GET /{way}/one HTTP/1.1"
    assert server.access_log().count(f'"{line}" 504') == 1
    assert told(server, "CRITICAL", "Request does not end:", f"/{way}/one", "request_timeout_grace")
    assert "; its worker is replaced" in server.log()
    # Where it is, also while it keeps the interpreter.
    eventually(lambda: re.search(rf'timed\.py", line \d+,? in (way_{way}|wait)', server.log()))
    eventually(lambda: f"Autorestarting worker (pid:{pid})" in server.log())
    eventually(lambda: server.workers() and pid not in server.workers())
    assert int(dial(server).get("/").body) != pid
    if mode in ALONE or way == "lock":
        why = "It ended itself, as a request in it did not end (`request_timeout`)."
        eventually(lambda: f"Worker (pid:{pid}) was sent SIGKILL! {why}" in server.log())


def test_a_response_that_does_not_end_is_cut(serve, dial, folder):
    options = ("--request-timeout", "0.3", "--request-timeout-grace", "0.3")
    server = serve_timed(serve, folder, "1", *options)
    peer = dial(server)
    # A wait in C behind a first piece.
    peer.send(b"GET /stream/one HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ProtocolError):
        peer.response()


@pytest.mark.parametrize("mode", [*THREADED, *GREEN])
def test_the_other_requests_of_a_worker_that_is_replaced_finish(serve, dial, folder, mode):
    options = ("--request-timeout", "0.5", "--request-timeout-grace", "0.3")
    server = serve_timed(serve, folder, mode, *options)
    stuck, good = dial(server), dial(server)
    pid = begin(good, folder, "more", "good")
    assert begin(stuck, folder, "swallow", "stuck") == pid
    assert stuck.response().status == 504
    # The new one serves while the old one finishes.
    eventually(lambda: int(dial(server).get("/").body) != pid)
    assert pid in server.workers()
    (folder / "good.end").touch()
    assert good.response().body == b"True True"
    # And it does not wait for the one that does not end.
    eventually(lambda: pid not in server.workers())


def test_what_waits_behind_a_request_that_does_not_end_is_not_lost(serve, dial, folder):
    """With two workers it moves to the other one, which is busy at first."""
    options = ("--request-timeout", "0.5", "--request-timeout-grace", "0.3")
    server = serve_timed(serve, folder, "1", *options, workers=2)
    busy = [dial(server), dial(server)]
    pids = {begin(busy[0], folder, "lock", "stuck"), begin(busy[1], folder, "more", "good")}
    assert len(pids) == 2
    waiting = [dial(server) for _ in range(4)]
    for peer in waiting:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert busy[0].response().status == 504
    for peer in waiting:
        assert int(peer.response().body) not in pids
    (folder / "good.end").touch()
    assert busy[1].response().body == b"True True"


@pytest.mark.parametrize("mode", THREADED)
def test_an_interruption_that_comes_too_late_is_taken_back(serve, dial, folder, mode):
    """An exception is set for each thread, and what is left of its request runs no Python: it would
    be raised in the next request of that thread."""
    # Far above what the short requests at the end take on a machine that is very busy.
    server = serve_timed(serve, folder, mode, "--request-timeout", "1")
    peers = [dial(server) for _ in range(3)]
    for number, peer in enumerate(peers):
        begin(peer, folder, "pipe", f"pipe{number}")
    eventually(lambda: server.log().count("Stack of GET /pipe/pipe") == 3)
    for number in range(3):
        (folder / f"pipe{number}.end").touch()
    # The main thread, if it runs one of them, was woken by a signal; the others come to their end.
    responses = [peer.response() for peer in peers]
    ended = [response.body for response in responses if response.status == 200]
    assert len(ended) >= 2
    assert set(ended) == {b"end"}
    for _ in range(10):
        fresh = [dial(server) for _ in range(3)]
        for peer in fresh:
            peer.send(b"GET /race/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [peer.response().body for peer in fresh] == [b"ended"] * 3


@pytest.mark.parametrize("mode", MODES)
def test_no_other_request_is_ever_interrupted(serve, folder, mode):
    """Requests that end at the very moment of their limit, on kept connections, one after another:
    an exception that comes late would hit the next one of its thread, which has just begun."""
    server = serve_timed(serve, folder, mode, "--request-timeout", "0.05")
    wrong, counts, lock = [], {"ended": 0, "interrupted": 0, "504": 0}, threading.Lock()

    def client(seed):
        chance = random.Random(seed)
        peer = Peer(server.connect())
        for _ in range(60):
            # Most end within a few milliseconds of the limit, some at once.
            millis = chance.choice([0, 1, *range(44, 56)])
            try:
                peer.send(f"GET /race/{millis} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                response = peer.response()
            except (AssertionError, OSError) as error:
                wrong.append(f"{millis}: {error!r}")
                return
            what, _, after = response.body.decode().partition(" ")
            with lock:
                if response.status == 504:
                    counts["504"] += 1
                else:
                    counts[what] += 1
            # Up to some milliseconds early, as the clock is coarse.
            if what == "interrupted" and float(after) < 0.03:
                wrong.append(f"{millis}: interrupted after {after} s")
            if response.status == 504:
                peer.socket.close()
                peer = Peer(server.connect())
        peer.socket.close()

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    assert counts["ended"], counts
    assert counts["interrupted"] + counts["504"], counts
    assert "Traceback" not in server.log()
    assert "does not end" not in server.log()
