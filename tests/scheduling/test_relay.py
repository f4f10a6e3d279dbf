"""Connections that cannot change the worker, with TLS or HTTP/2: their requests are answered by an
idle worker all the same, and nobody can tell."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oxicorn import Scoreboard
from support import eventually
from support.certificates import Authority
from support.hogs import ENDLESS, Hogs, at_work, descriptors, request
from support.http2 import INTERNAL_ERROR
from support.server import Server
from support.staying import Client, Http2Client, Waits, Ways, begin

LARGE = random.Random(7).randbytes(4 << 20)
"""What `apps/relayed.py` sends for `/large` and `/file`."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["h1", "h2", "cleartext h2"])
def ways(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Ways]:
    ways = Ways(request.param, authority)
    yield ways
    ways.close()


@dataclass
class Scene:
    """Two workers, of which one is busy, and a client whose connections are there."""

    server: Server
    client: Client
    busy: int
    slow: Waits

    @property
    def ask(self) -> Callable[..., Waits]:
        return self.client.ask

    @property
    def idle(self) -> int:
        [idle] = set(self.server.workers()) - {self.busy}
        return idle


@pytest.fixture
def scene(serve, hogs: Hogs, ways: Ways) -> Callable[..., Scene]:
    """Makes one; the busy worker has a request that `hogs.end("slow")` ends."""

    def make(*options: str, what: str = "sleep", pair: tuple[Path, Path] | None = None) -> Scene:
        options = (*ENDLESS, *ways.options, *options)
        server = serve("relayed", *options, workers=2, env=hogs.env, exit_status=None)
        client = ways.client(server, pair)
        busy, slow = begin(hogs, client, what, "slow")
        assert busy == client.home
        return Scene(server, client, busy, slow)

    return make


@pytest.mark.parametrize("what", ["sleep", "spin", "match"])
def test_requests_do_not_wait(scene, hogs, what):
    here = scene(what=what)
    for _ in range(3):
        asked = [here.ask("/fast") for _ in range(min(here.client.lanes, 20))]
        assert {wait().pid for wait in asked} == {here.idle}
    if what != "match":
        hogs.end("slow")
        assert here.slow().pid == here.busy
        # The worker counts a request as its own until a moment after its client has the answer.
        eventually(lambda: here.ask("/fast")().pid == here.busy)


def test_without_it_they_stay(scene, hogs):
    here = scene("--worker-handoff", "off")
    asked = here.ask("/fast")
    hogs.end("slow")
    assert here.slow().pid == here.busy
    assert asked().pid == here.busy


def test_the_application_sees_the_same(scene, hogs, ways, authority):
    options = ("--forwarded-allow-ips", "127.0.0.1", "--proxy-trusted", "127.0.0.1")
    pair = None
    if ways.way != "cleartext h2":
        options += ("--ca-certs", str(authority.file), "--cert-reqs", "1")
        pair = authority.issue("client.example", common_name="a client")
    here = scene(*options, "--proxy-x-for", "1", pair=pair)
    more = [("x-forwarded-for", "203.0.113.9"), ("cookie", "a=b"), ("x-own", "some thing")]
    seen = []
    for _ in range(2):
        told = json.loads(here.ask("/told", *more, method="POST", body=b"a body")().body)
        seen.append((told.pop("pid"), told))
        if len(seen) == 1:
            hogs.end("slow")
            assert here.slow().pid == here.busy
            eventually(lambda: here.ask("/fast")().pid == here.busy)
    (first, there), (second, at_home) = seen
    assert (first, second) == (here.idle, here.busy)
    for told in (there, at_home):
        # Each connection of HTTP/1 has its own.
        told["environ"].pop("REMOTE_PORT", None)
        told["environ"].pop("SSL_CLIENT_V_REMAIN", None)
    assert there == at_home
    environ = there["environ"]
    protocol = "HTTP/1.1" if ways.way == "h1" else "HTTP/2.0"
    assert (environ["SERVER_PROTOCOL"], environ["REMOTE_ADDR"]) == (protocol, "203.0.113.9")
    assert (there["body"], environ["CONTENT_LENGTH"]) == ("a body", "6")
    if pair:
        assert environ["SSL_CLIENT_S_DN_CN"] == "a client"
        assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("path", ["/large", "/file"])
def test_large_responses(scene, path):
    here = scene()
    asked = [here.ask(path) for _ in range(2)]
    for wait in asked:
        answer = wait()
        assert (answer.status, answer.is_whole, answer.body == LARGE) == (200, True, True)
    head = here.ask(path, method="HEAD")()
    assert (head.status, head.body) == (200, b"")
    assert here.ask("/fast")().pid == here.idle


def test_a_response_that_its_client_does_not_take_yet(scene):
    """It waits with the worker that has the client; the other one has done with it."""
    here = scene()
    asked = here.ask("/large")
    eventually(lambda: "/large" in here.server.access_log())
    assert asked().body == LARGE


def test_a_response_that_is_too_large_to_wait(scene):
    here = scene("--response-buffer-limit", "300000")
    assert here.ask("/large")().body == LARGE


def test_early_hints(scene):
    here = scene()
    answer = here.ask("/hints")()
    assert answer.pid == here.idle
    if isinstance(here.client, Http2Client):
        [stream] = [each for each in here.client.peer.streams.values() if each.interim]
        [hint] = stream.interim
        assert (hint[":status"], hint["link"]) == ("103", "</style.css>; rel=preload")


def test_failures_look_the_same(scene):
    here = scene()
    answer = here.ask("/fails")()
    assert (answer.status, answer.is_whole) == (500, True)
    answer = here.ask("/breaks")()
    assert (answer.status, answer.is_whole) == (200, False)
    assert here.ask("/fast")().pid == here.idle


@pytest.mark.parametrize("what", ["watch", "dots"])
def test_a_client_that_gives_up_is_noticed(scene, hogs, what):
    here = scene()
    worker, asked = begin(hogs, here.client, what, "there")
    assert worker == here.idle
    here.client.give_up(asked)
    eventually(lambda: (hogs.folder / "there.gone").exists())
    assert here.ask("/fast")().pid == here.idle


def test_a_worker_that_dies_takes_what_it_has_begun_to_send(scene, hogs):
    here = scene()
    worker, asked = begin(hogs, here.client, "dots", "there")
    assert worker == here.idle
    here.client.await_begin(asked)
    os.kill(worker, signal.SIGKILL)
    answer = asked()
    assert (answer.status, answer.is_whole) == (200, False)
    if isinstance(here.client, Http2Client):
        assert here.client.peer.stream(asked.stream).reset == INTERNAL_ERROR
    all_is_well(here, hogs, worker)


def test_what_a_worker_that_dies_has_not_answered(scene, hogs):
    here = scene()
    worker, asked = begin(hogs, here.client, "sleep", "there")
    assert worker == here.idle
    os.kill(worker, signal.SIGKILL)
    answer = asked()
    assert (answer.status, answer.is_whole) == (500, True)
    eventually(lambda: '"GET /sleep/there ' in here.server.access_log())
    assert "the worker that had taken over a request is gone" in here.server.log()
    all_is_well(here, hogs, worker)


def all_is_well(here: Scene, hogs: Hogs, dead: int) -> None:
    """Another worker takes the place of one that is dead, and the connections go on."""
    eventually(lambda: len(set(here.server.workers()) - {here.busy, dead}) == 1)
    assert here.ask("/fast")().pid == here.idle
    hogs.end("slow")
    assert here.slow().pid == here.busy


def test_what_no_worker_has_taken_is_taken_by_another(scene, hogs):
    here = scene()
    idle = here.idle
    # It has begun to take some, and is done with it a moment after its client has the answer.
    assert here.ask("/fast")().pid == idle
    board = Scoreboard(here.server.pid)
    before = board.read()["totals"]["given"]
    eventually(lambda: at_work(here.server, idle) == 0)
    os.kill(idle, signal.SIGSTOP)
    asked = [here.ask("/fast") for _ in range(2)]
    eventually(lambda: board.read()["totals"]["given"] > before)
    os.kill(idle, signal.SIGKILL)
    for wait in asked:
        assert wait().pid not in (here.busy, idle)


def test_a_worker_whose_connection_is_lost_goes_on(scene, hogs, ways):
    here = scene()
    idle = here.idle
    assert begin(hogs, here.client, "watch", "there")[0] == idle
    os.kill(here.busy, signal.SIGKILL)
    eventually(lambda: (hogs.folder / "there.gone").exists())
    other = ways.client(here.server)
    assert other.home in here.server.workers()


def test_a_graceful_stop_waits_for_it(scene, hogs):
    here = scene("--graceful-timeout", "60")
    worker, asked = begin(hogs, here.client, "sleep", "there")
    assert worker == here.idle
    here.server.signal(signal.SIGTERM)
    eventually(lambda: "Handling signal: term" in here.server.log())
    hogs.end("there")
    assert asked().pid == worker
    hogs.end("slow")
    assert here.slow().pid == here.busy
    assert here.server.wait() == 0


def test_a_time_limit_holds_where_it_runs(scene, hogs):
    here = scene("--request-timeout", "5", "--request-timeout-grace", "60")
    # The slow one is over its limit, too.
    worker, asked = begin(hogs, here.client, "sleep", "there")
    assert worker == here.idle
    answer = asked()
    assert (answer.status, answer.is_whole) == (504, True)
    assert here.slow().status == 504


def test_the_log_has_a_line_for_each(scene, hogs):
    here = scene("--access-logformat", "%(p)s %(U)s %(s)s %(H)s")
    asked = [here.ask("/fast") for _ in range(min(here.client.lanes, 5))]
    assert {wait().pid for wait in asked} == {here.idle}
    hogs.end("slow")
    assert here.slow().pid == here.busy
    protocol = "HTTP/2.0" if isinstance(here.client, Http2Client) else "HTTP/1.1"
    line = f"<{here.idle}> /fast 200 {protocol}"
    eventually(lambda: here.server.access_log().splitlines().count(line) == len(asked))


def test_a_body_that_is_read_as_it_comes_stays(scene, hogs):
    here = scene("--request-buffering", "off")
    asked = here.ask("/told", method="POST", body=b"a body")
    # What has none can go.
    assert here.ask("/fast")().pid == here.idle
    hogs.end("slow")
    assert here.slow().pid == here.busy
    told = json.loads(asked().body)
    assert (told["pid"], told["body"]) == (here.busy, "a body")


def test_pipelined_requests_are_answered_in_order(scene, ways):
    if ways.way != "h1":
        pytest.skip("streams have no order")
    here = scene()
    peer = here.client.take()
    paths = [f"/fast{number}" for number in range(20)]
    peer.send(b"".join(map(request, paths)))
    for path in paths:
        assert peer.response().body.decode().split() == [str(here.idle), path]


def test_the_last_request_of_a_connection(scene, ways):
    if ways.way != "h1":
        pytest.skip("streams are counted where they are")
    here = scene("--keepalive-requests", "2")
    answer = here.ask("/fast")()
    assert (answer.pid, answer.fields["connection"]) == (here.idle, "close")


def test_nothing_is_left_behind(scene):
    here = scene()
    workers = [here.busy, here.idle]
    for _ in range(3):
        here.ask("/fast")()
    before = [descriptors(pid) for pid in workers]
    for _ in range(30):
        assert here.ask("/fast")().pid == here.idle
    # Each request has taken two of them; what is closed is so a moment after the answer.
    eventually(lambda: all(map(int.__ge__, before, map(descriptors, workers))))
