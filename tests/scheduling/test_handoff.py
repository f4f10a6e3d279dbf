"""No request waits behind a busy worker while another one is idle.

The slow requests here end when the test says so, or never: whatever is answered in between did not
wait for them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading

import pytest

from support import Peer, eventually
from support.hogs import ENDLESS, at_work, descriptors, pid_of, request, warm


@pytest.mark.parametrize("what", ["sleep", "spin", "match", "stream"])
@pytest.mark.parametrize(
    ("workers", "threads", "slow", "connections"),
    [(2, 1, 1, 16), (2, 1, 1, 200), (2, 2, 1, 16), (4, 2, 1, 16), (4, 2, 2, 200)],
)
def test_kept_connections_do_not_wait(serve, dial, hogs, what, workers, threads, slow, connections):
    options = (*ENDLESS, "--threads", str(threads))
    server = serve("hog", *options, workers=workers, env=hogs.env, exit_status=None)
    peers = [dial(server) for _ in range(connections)]
    homes = warm(peers)
    assert homes[0] == homes[slow], "no connection is where it will be busy"
    busy = []
    for number in range(slow):
        busy.append(hogs.begin(peers[number], what, f"slow{number}"))
    fast = peers[slow:]
    for _ in range(3):
        for peer in fast:
            peer.send(request("/fast"))
        answers = {pid_of(peer.response()) for peer in fast}
        if threads == 1:
            assert not set(busy) & answers
    # New ones do not wait either.
    for _ in range(8):
        assert dial(server).get("/new").status == 200
    if what != "match":
        for number in range(slow):
            hogs.end(f"slow{number}")
            assert peers[number].response().status == 200
        warm(peers)


def test_pipelined_requests_move_with_their_connection(serve, dial, hogs):
    server = serve("hog", *ENDLESS, workers=2, env=hogs.env)
    peers = [dial(server) for _ in range(40)]
    warm(peers)
    hogs.begin(peers[0], "sleep", "slow")
    paths = [f"/fast{number}" for number in range(20)]
    for peer in peers[1:]:
        peer.send(b"".join(request(path) for path in paths))
    for peer in peers[1:]:
        assert [peer.response().body.decode().split()[1] for _ in paths] == paths
    hogs.end("slow")
    assert peers[0].response().status == 200


def test_what_waits_for_all_goes_to_the_first_that_is_free(serve, dial, hogs):
    server = serve("hog", *ENDLESS, workers=2, env=hogs.env)
    peers = [dial(server) for _ in range(40)]
    warm(peers)
    hogs.begin(peers[0], "sleep", "first")
    hogs.begin(peers[1], "sleep", "second")
    for peer in peers[2:]:
        peer.send(request("/fast"))
    hogs.end("second")
    assert peers[1].response().status == 200
    for peer in peers[2:]:
        assert peer.response().status == 200
    hogs.end("first")
    assert peers[0].response().status == 200


def test_without_it_connections_stay(serve, dial, hogs):
    options = (*ENDLESS, "--worker-handoff", "off")
    server = serve("hog", *options, workers=2, env=hogs.env)
    peers = [dial(server) for _ in range(60)]
    homes = warm(peers)
    busy = hogs.begin(peers[0], "sleep", "slow")
    assert busy == homes[0]
    stays = [peer for peer, home in zip(peers, homes, strict=True) if home == busy][1:]
    goes = [peer for peer, home in zip(peers, homes, strict=True) if home != busy]
    for peer in (*stays, *goes):
        peer.send(request("/fast"))
    for peer in goes:
        assert peer.response().status == 200
    hogs.end("slow")
    for peer in stays:
        assert pid_of(peer.response()) == busy


def answers_new(peer, old):
    """Whether a new worker answers: an old one takes in what was waiting when it was to end."""
    try:
        return pid_of(peer.get("/new")) not in old
    except TimeoutError:
        return False


def test_a_reload_leaves_no_request_behind(serve, dial, hogs):
    server = serve("hog", "--timeout", "0", workers=2, env=hogs.env)
    old = server.workers()
    peers = [dial(server) for _ in range(40)]
    warm(peers)
    hogs.begin(peers[0], "sleep", "first")
    hogs.begin(peers[1], "sleep", "second")
    for peer in peers[2:]:
        peer.send(request("/fast"))
    server.signal(signal.SIGHUP)
    eventually(lambda: answers_new(dial(server, timeout=2.0), old))
    for number, name in enumerate(["first", "second"]):
        hogs.end(name)
        assert peers[number].response().status == 200
    for peer in peers[2:]:
        # Who has the old settings serves what was sent to the old settings.
        assert pid_of(peer.response()) in old
    eventually(lambda: not set(server.workers()) & set(old))


def test_what_was_handed_to_a_worker_that_dies_is_served_by_another(serve, dial, hogs):
    """The idle worker is stopped, so that it takes nothing of what is handed to it, and killed."""
    server = serve("hog", *ENDLESS, workers=2, env=hogs.env)
    peers = [dial(server) for _ in range(40)]
    homes = warm(peers)
    busy = hogs.begin(peers[0], "sleep", "slow")
    idle = next(pid for pid in server.workers() if pid != busy)
    waiting = [peer for peer, home in zip(peers, homes, strict=True) if home == busy][1:]
    before = descriptors(busy)
    # A client has its answer a moment before the worker is done with the request.
    eventually(lambda: at_work(server, idle) == 0)
    os.kill(idle, signal.SIGSTOP)
    for peer in waiting:
        peer.send(request("/fast"))
    # What is in the passage belongs to no worker.
    eventually(lambda: descriptors(busy) < before)
    os.kill(idle, signal.SIGKILL)
    for peer in waiting:
        assert pid_of(peer.response()) not in (busy, idle)
    hogs.end("slow")
    assert peers[0].response().status == 200


def test_workers_that_are_killed_take_no_others_along(serve, hogs):
    """Connections change hands all the time, and workers die; each client comes through."""
    server = serve("sleepy", "--threads", "2", workers=3)
    stop = threading.Event()
    served = [0] * 12
    wrong = []

    def client(index):
        chance = random.Random(index)
        peer = Peer(server.connect())
        while not stop.is_set():
            path = "/15" if chance.random() < 0.3 else f"/{index}x{served[index]}"
            try:
                peer.send(request(path))
                response = peer.response()
            except (AssertionError, OSError) as error:
                if "timed out" in str(error):
                    wrong.append(f"no answer to {path}")
                    return
                peer.socket.close()  # its worker was killed
                peer = Peer(server.connect())
                continue
            if response.body.decode() != path:
                wrong.append(f"{path}: {response.body!r}")
                return
            served[index] += 1
        peer.socket.close()

    threads = [threading.Thread(target=client, args=(index,)) for index in range(len(served))]
    for thread in threads:
        thread.start()
    try:
        for killed in itertools.count():
            eventually(lambda: min(served) >= 20 * (killed + 1) or wrong)  # noqa: B023
            if killed == 5 or wrong:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(server.workers()), signal.SIGKILL)
            eventually(lambda: server.log().count("Booting") >= 4 + killed)  # noqa: B023
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong
    eventually(lambda: server.connections() == 0)
