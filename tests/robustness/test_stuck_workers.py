"""`timeout`: a worker that does not get on is named with what it is doing, ended, and replaced."""

from __future__ import annotations

import re
import time

import pytest

from support import eventually


@pytest.fixture
def hogs(tmp_path):
    """The folder in which slow requests are seen to begin and told to end."""
    yield tmp_path
    for begun in list(tmp_path.iterdir()):
        begun.with_suffix(".end").touch()


def begin(peer, hogs, what, name):
    peer.send(f"GET /{what}/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return int(eventually(lambda: (hogs / name).exists() and (hogs / name).read_text()))


def pid_of(response):
    assert response.status == 200
    return int(response.body.split()[0])


def serve_hog(serve, hogs, *options):
    return serve("hog", "--timeout", "1", *options, env={"HOG": str(hogs)})


def said(server, pid, path):
    """How the log tells what a worker is stuck with."""
    line = rf"\[CRITICAL\] In worker \(pid:{pid}\) for \d+\.\d+ s: GET {path} client=127\.0\.0\.1"
    return re.search(line, server.log())


def is_replaced(server, dial, pid):
    # The replacement is begun while the old one may still live for a moment, and accept.
    eventually(lambda: (now := server.workers()) and pid not in now)
    return pid_of(dial(server).get("/fast")) != pid


@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_whose_threads_are_all_stuck_is_replaced(serve, dial, hogs, threads):
    server = serve_hog(serve, hogs, "--threads", str(threads))
    peers = [dial(server) for _ in range(threads)]
    for number, peer in enumerate(peers):
        pid = begin(peer, hogs, "sleep", f"slow{number}")
    eventually(lambda: f"[CRITICAL] WORKER TIMEOUT (pid:{pid})" in server.log())
    for peer in peers:
        assert peer.closed_by_server()
    assert is_replaced(server, dial, pid)
    for number in range(threads):
        assert said(server, pid, f"/sleep/slow{number}")
    # Where it stood, in every thread.
    eventually(lambda: len(re.findall(r'hog\.py", line \d+ in app', server.log())) >= threads)


@pytest.mark.parametrize(
    ("what", "ending"),
    [
        ("match", "exited with code 1. It gave no sign of life within `timeout`."),
        (
            "lock",
            "was sent SIGKILL! It gave no sign of life within `timeout`, and did not end on "
            "SIGABRT.",
        ),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_that_is_stuck_in_c_is_replaced(serve, dial, hogs, threads, what, ending):
    """One call has the interpreter's lock, and with `lock` nothing of Python's runs ever again: the
    stacks come from a signal handler."""
    server = serve_hog(serve, hogs, "--threads", str(threads))
    peer = dial(server)
    pid = begin(peer, hogs, what, "wild")
    eventually(lambda: f"[CRITICAL] WORKER TIMEOUT (pid:{pid})" in server.log())
    assert peer.closed_by_server()
    assert is_replaced(server, dial, pid)
    assert said(server, pid, f"/{what}/wild")
    eventually(lambda: re.search(r'hog\.py", line \d+ in app', server.log()))
    eventually(lambda: f"Worker (pid:{pid}) {ending}" in server.log())


def test_a_thread_to_spare_is_a_sign_of_life(serve, dial, hogs):
    server = serve_hog(serve, hogs, "--threads", "2")
    slow = dial(server)
    began = time.monotonic()
    pid = begin(slow, hogs, "sleep", "slow")
    # Far beyond the limit, requests come or not.
    eventually(lambda: time.monotonic() > began + 5)
    assert pid_of(dial(server).get("/fast")) == pid
    (hogs / "slow.end").touch()
    assert pid_of(slow.response()) == pid
    assert "WORKER TIMEOUT" not in server.log()


def test_streams_on_all_threads_are_signs_of_life(serve, dial, hogs):
    server = serve_hog(serve, hogs, "--threads", "2")
    began = time.monotonic()
    peers = [dial(server), dial(server)]
    for number, peer in enumerate(peers):
        begin(peer, hogs, "stream", f"stream{number}")
    eventually(lambda: time.monotonic() > began + 5)
    for number, peer in enumerate(peers):
        (hogs / f"stream{number}.end").touch()
        assert set(peer.response().body) == {ord(".")}
    assert "WORKER TIMEOUT" not in server.log()


def test_a_stream_on_the_only_thread_is_limited(serve, dial, hogs):
    """As in gunicorn: with one thread, a response is part of its request."""
    server = serve_hog(serve, hogs)
    peer = dial(server)
    pid = begin(peer, hogs, "stream", "stream")
    eventually(lambda: f"WORKER TIMEOUT (pid:{pid})" in server.log())
    assert said(server, pid, "/stream/stream")
    assert is_replaced(server, dial, pid)
