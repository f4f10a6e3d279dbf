"""`-k gevent`: many requests at a time on one process, each in a greenlet."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from support import eventually
from support.standing import many_descriptors, served_once

pytest.importorskip("gevent")

OPTIONS = ("-k", "gevent", "--worker-connections", "4000")


@pytest.fixture(params=["libev-cext", "libuv-cffi"])
def green(serve, request):
    """Starts the application on each of gevent's loops."""

    def start(app="green", *options):
        return serve(app, *OPTIONS, *options, env={"GEVENT_LOOP": request.param})

    return start


def request(path, *fields):
    lines = [f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode()


def test_hello_and_keep_alive(green, dial):
    server = green()
    with dial(server) as peer:
        for _ in range(3):
            assert peer.get("/hello").body == b"hello"
    assert server.stop() == 0
    assert "Using worker: gevent" in server.log()
    assert "Traceback" not in server.log()
    assert server.access_log().count('"GET /hello HTTP/1.1" 200') == 3


def test_a_stream_comes_piece_by_piece(green, dial):
    with dial(green()) as peer:
        response = peer.get("/stream")
    assert response.body == b"0\n1\n2\n3\n4\n"
    assert len(response.chunks) == 5


def test_a_quick_request_is_answered_beside_500_that_wait(green, dial):
    server = green()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server)) for _ in range(500)]
        for peer in peers:
            peer.send(request("/sleep"))
        quick = stack.enter_context(dial(server))
        eventually(lambda: quick.get("/sleeping").body == b"500")
        assert quick.get("/release").body == b"released"
        for peer in peers:
            assert peer.response().body == b"slept"


def test_no_more_requests_run_than_worker_connections(serve, dial):
    server = serve("green", "-k", "gevent", "--worker-connections", "3")
    with dial(server) as first, dial(server) as second, dial(server) as third:
        first.send(request("/sleep"))
        second.send(request("/sleep"))
        eventually(lambda: third.get("/sleeping").body == b"2")
        assert third.get("/release").body == b"released"
        assert (first.response().body, second.response().body) == (b"slept", b"slept")


def test_10000_idle_connections_beside_500_requests_that_wait(green, dial):
    with contextlib.ExitStack() as stack:
        count = min(10_000, stack.enter_context(many_descriptors()) - 1500)
        server = green("green", "--worker-connections", "20000", "--keep-alive", "600")
        idle = served_once(server, dial, stack, count)
        waiting = [stack.enter_context(dial(server)) for _ in range(500)]
        for peer in waiting:
            peer.send(request("/sleep"))
        quick = stack.enter_context(dial(server))
        eventually(lambda: quick.get("/sleeping").body == b"500")
        for peer in (quick, *idle[:: count // 100]):
            assert peer.get("/hello").body == b"hello"
        assert quick.get("/release").body == b"released"
        for peer in waiting:
            assert peer.response().body == b"slept"


def test_the_standard_library_is_patched(green, dial):
    with dial(green()) as peer:
        assert peer.get("/patched").body == b"True 1 True"
        assert peer.get("/self").body == b"got hello"


def test_a_slow_reader_of_a_large_response_stops_nobody(green, dial):
    server = green("green", "--response-buffer-limit", "1048576")
    with dial(server) as slow, dial(server) as quick:
        slow.send(request("/large"))
        head = slow.head()
        assert head.status == 200
        for _ in range(3):
            assert quick.get("/hello").body == b"hello"
        total = 0
        while chunk := slow.chunk():
            total += len(chunk)
        assert total == 64 * 1024 * 1024
        assert slow.get("/hello").body == b"hello"


@pytest.mark.parametrize("options", [(), ("--request-buffering=off",)])
def test_a_slow_upload_stops_nobody(green, dial, options):
    server = green("green", *options)
    with dial(server) as slow, dial(server) as quick:
        slow.send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(3):
            slow.send(b"x" * 100000)
            assert quick.get("/hello").body == b"hello"
        assert slow.response().body == b"300000"
        slow.send(
            b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nabcde\r\n0\r\n\r\n"
        )
        assert slow.response().body == b"5"


def test_a_timeout_ends_a_wait_for_the_body(green, dial):
    server = green("green", "--request-buffering=off")
    with dial(server) as peer, dial(server) as other:
        peer.send(b"POST /impatient HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert peer.response().body == b"gave up"
        assert other.get("/hello").body == b"hello"


def test_a_failure_is_answered_and_logged(green, dial):
    server = green()
    with dial(server) as peer, dial(server) as other:
        assert peer.get("/fail").status == 500
        assert other.get("/hello").body == b"hello"
    eventually(lambda: "LookupError: no such thing" in server.log())


def test_term_waits_for_requests_and_not_for_idle_connections(green, dial):
    server = green("green", "--graceful-timeout", "100")
    with dial(server) as idle, dial(server) as busy, dial(server) as helper:
        assert idle.get("/hello").body == b"hello"
        busy.send(request("/sleep"))
        eventually(lambda: helper.get("/sleeping").body == b"1")
        begin = time.monotonic()
        helper.send(request("/large"))
        assert helper.head().status == 200
        server.signal(signal.SIGTERM)
        assert idle.closed_by_server()
        # Still served: the wait for room in the socket goes on in a drain.
        assert sum(len(chunk) for chunk in iter(helper.chunk, b"")) == 64 * 1024 * 1024
        os.kill(server.workers()[0], signal.SIGQUIT)
        assert busy.closed_by_server()
        assert time.monotonic() - begin < 90
    assert server.wait() == 0


def test_term_lets_a_request_finish(serve, dial):
    server = serve("sleepy", "-k", "gevent")
    with dial(server) as peer, dial(server) as second:
        assert peer.get("/0").body == b"/0"
        peer.send(request("/1500"))
        second.send(request("/1500"))
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        assert peer.response().body == b"/1500"
        assert second.response().body == b"/1500"
    assert server.wait() == 0


def test_a_real_flask_site(serve, dial):
    with dial(serve("flask_site", "-k", "gevent", "-w", "2")) as peer:
        assert peer.get("/").status == 200


def test_the_workers_end_with_their_master(green, dial):
    server = green()
    with dial(server) as peer:
        assert peer.get("/hello").body == b"hello"
    [worker] = server.workers()
    server.expected_exit = None
    server.signal(signal.SIGKILL)

    def is_gone():
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{worker}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"

    eventually(is_gone)


def test_a_request_whose_body_a_greenlet_still_reads_stops_nobody(green, dial):
    server = green("green", "--request-buffering=off")
    with dial(server) as peer, dial(server) as other:
        peer.send(b"POST /leave HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        for _ in range(3):
            assert other.get("/hello").body == b"hello"
            time.sleep(0.1)
        peer.send(b"cd")
        # The body has one user at a time, so the response could not begin beside it.
        assert peer.response().status == 500
        assert other.get("/hello").body == b"hello"


def test_a_body_has_one_reader_at_a_time(green, dial):
    server = green("green", "--request-buffering=off")
    with dial(server) as peer, dial(server) as other:
        peer.send(b"POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        eventually(lambda: other.get("/told").body == b"True")
        peer.send(b"cd")
        assert peer.response().body == b"abcd, wsgi.input: another thread is using this request"


def test_a_greenlet_runs_many_requests_each_with_its_own_context(green, dial):
    with dial(green()) as peer:
        seen = {peer.get("/greenlet").body.decode() for _ in range(20)}
    assert len(seen) == 1
    assert seen.pop().endswith(" nothing")


@pytest.mark.parametrize("way", ["timeout", "kill", "switch"])
def test_what_a_request_leaves_behind_costs_no_other_one(green, dial, way):
    server = green()
    with dial(server) as peer:
        for _ in range(3):
            assert peer.get(f"/behind?{way}").body == b"left"
            # Longer than it takes to strike.
            for _ in range(15):
                assert peer.get("/hello").body == b"hello"
                time.sleep(0.02)


def test_a_preloaded_application_is_served(serve, dial):
    with dial(serve("hello", "-k", "gevent", "--preload")) as peer:
        assert peer.get("/").status == 200


def test_a_saved_file_replaces_the_worker(serve, dial, tmp_path):
    module = tmp_path / "changing.py"
    text = 'def app(environ, start):\n    start("200 OK", [])\n    return [b"{}"]\n'
    module.write_text(text.format("one"))
    server = serve("changing:app", "-k", "gevent", "--reload", cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().body == b"one"
    module.write_text(text.format("other"))

    def answer():
        with dial(server) as peer:
            return peer.get("/", "Connection: close").body

    eventually(lambda: answer() == b"other")


def test_requests_are_counted_for_max_requests(serve, dial):
    server = serve("hello", "-k", "gevent", "--max-requests", "3")
    [first] = eventually(server.workers)
    for _ in range(3):
        with dial(server) as peer:
            assert peer.get("/").status == 200
    eventually(lambda: first not in server.workers())
    with dial(server) as peer:
        assert peer.get("/").status == 200


def test_without_gevent_it_is_said_how_to_get_it(oxicorn, tmp_path):
    (tmp_path / "gevent.py").write_text("raise ImportError('not there')\n")
    done = oxicorn("-k", "gevent", "apps.hello:app")
    assert done.returncode == 1
    assert "pip install gevent" in done.stderr
    assert "Traceback" not in done.stderr
