"""`oxicorn.eventlet.server` in a program, and `-k eventlet`."""

from __future__ import annotations

import contextlib
import re
import signal
import time

import pytest

from support import eventually
from support.program import run_scenario

pytest.importorskip("greenlet")

QUIET = {"PYTHONWARNINGS": "ignore"}


@pytest.fixture(params=["epolls", "poll", "selects", "asyncio"])
def program(request):
    """Runs a program on each of eventlet's hubs, and gives the lines that it printed."""

    environ = {**QUIET, "EVENTLET_HUB": request.param}
    return lambda scenario: run_scenario("eventlet_server", scenario, environ)


def test_requests_at_a_time_and_what_environ_has(program):
    assert program("serving") == [
        str([(200, "hello")] * 3),
        "(('X-A', 'b'), 1, True)",
        "body",
        "POST /read hook",
    ]


def test_a_full_pool_makes_requests_wait(program):
    assert program("pools") == [str([(200, "hello")] * 3)] * 2


def test_the_line_of_a_request(program):
    said = program("logs")
    assert "wsgi starting up on ('127.0.0.1', " in said[0]
    date = r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d"
    client = re.escape(r"203.0.113.9\xe4,127.0.0.1")
    assert re.fullmatch(
        rf'{client} - - \[{date}\] "GET /a\?b=c HTTP/1\.1" 200 \d+ \d\.\d{{6}}', said[1]
    )
    assert "LookupError: no such thing" in said
    assert said[-2:] == ["0", "200 of 127.0.0.1"]


def test_the_end_waits_for_requests(program):
    assert program("stopping") == ["(200, 'hello')", "refused"]


def test_websockets_beside_the_pool(program):
    no_socket = "this request does not ask for a WebSocket: it has no socket"
    each = [str((200, no_socket)), "503 1"]
    assert program("websockets") == [*each, *each, "closed"]


def test_limits(program):
    ok = "b'HTTP/1.1 200 OK'"
    assert program("limits") == ["414", ok, ok, "b''"]


def test_tls(program):
    assert program("secure") == ["100000", "100000"]


def test_what_is_not_there_is_refused(program):
    assert program("refusals") == [
        "protocol: not available in oxicorn",
        "server_event: not available in oxicorn",
        "max_http_version: only HTTP/1.1 is available, not 'HTTP/1.0'",
        "sock: TLS is not Python's here, and no socket tells what files it was made of: "
        "give a plain one, and certfile and keyfile to this function",
        "['minimum_chunk_size', 'debug', 'capitalize_response_headers']",
    ]


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def test_a_worker_with_many_requests_at_a_time(serve, dial):
    server = serve("green", "-k", "eventlet", env=QUIET)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server)) for _ in range(200)]
        for peer in peers:
            peer.send(request("/sleep"))
        quick = stack.enter_context(dial(server))
        eventually(lambda: quick.get("/sleeping").body == b"200")
        assert quick.get("/release").body == b"released"
        assert {peer.response().body for peer in peers} == {b"slept"}
        assert quick.get("/self").body == b"got hello"
    assert server.stop() == 0
    assert "Using worker: eventlet" in server.log()
    assert "Traceback" not in server.log()


def test_term_lets_a_request_finish(serve, dial):
    server = serve("sleepy", "-k", "eventlet", env=QUIET)
    with dial(server) as peer:
        assert peer.get("/0").body == b"/0"
        peer.send(request("/1500"))
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        assert peer.response().body == b"/1500"
    assert server.wait() == 0


def test_requests_are_counted_for_max_requests(serve, dial):
    server = serve("hello", "-k", "eventlet", "--max-requests", "3", env=QUIET)
    [first] = eventually(server.workers)
    for _ in range(3):
        with dial(server) as peer:
            assert peer.get("/").status == 200
    eventually(lambda: first not in server.workers())


def test_a_preloaded_application_is_served(serve, dial):
    with dial(serve("hello", "-k", "eventlet", "--preload", env=QUIET)) as peer:
        assert peer.get("/").status == 200
