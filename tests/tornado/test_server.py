"""`oxicorn.tornado` in a program, as Tornado's server is used."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from support import eventually
from support.server import TESTS, environment, free_port

pytest.importorskip("tornado")

PROGRAM = [sys.executable, str(TESTS / "apps" / "tornado_server.py")]


@pytest.fixture
def program():
    """Runs one of the programs, and gives the lines that it printed."""

    def run(*arguments):
        done = subprocess.run(
            [*PROGRAM, *arguments], env=environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "panicked at" not in done.stderr
        return done.stdout.splitlines()

    return run


def test_the_loop_lives_while_requests_wait(program):
    assert program("responsive") == [str([(200, "hello")] * 3)]


def test_where_the_application_runs(program):
    assert program("executors") == [
        "200 oxicorn-request",
        "[True, False, None, None, None]",
        "200 mine",
        "[True, False, None, None, None]",
        "200 MainThread",
        "[False, False, None, None, None]",
    ]


def test_whose_word_counts_for_the_client(program):
    nobody, default, chain, named, scheme = program("proxies")
    assert nobody == "http 127.0.0.1; http 127.0.0.1; http 127.0.0.1"
    assert default == "https 203.0.113.9; http 127.0.0.1; http 203.0.113.9"
    assert chain == "https 203.0.113.9; http 127.0.0.1; http 203.0.113.7"
    assert named == "http 127.0.0.1; https 203.0.113.8; http 127.0.0.1"
    assert scheme == "https 127.0.0.1; https 127.0.0.1; https 127.0.0.1"


def test_limits(program):
    assert program("limits") == [
        "(200, 'xxxxxxxxxx')",
        "413",
        "413",
        "200",
        "431",
        "HTTP/1.1 408 Request Timeout False",
        "HTTP/1.1 200 OK True",
        "HTTP/1.1 200 OK True",
    ]


def test_stop_lets_requests_go_on(program):
    assert program("stopping") == ["b''", "refused", "(200, 'hello')", "closed"]


def test_all_connections_end_also_when_a_request_does_not(program):
    assert program("cutting") == ["RemoteDisconnected"]


def test_websockets_beside_the_threads_and_beside_the_loop(program):
    assert program("websockets") == ["1000000 200", "1000000 200", "503 1", "closed"] * 2


def test_tls(program):
    assert program("secure") == ["200 15 https 127.0.0.1", f"200 100000 {'x' * 15}"] * 2


def test_what_is_not_there_is_refused(program):
    assert program("refusals") == [
        'certfile "a" does not exist',
        'protocol: expected "http" or "https", got \'ftp\'',
        "executor: a request cannot go to another process",
        "executor: expected an Executor, None or \"inline\", got 'pool'",
        "[('chunk_size: has no effect in oxicorn', True)]",
    ]


def test_lines_and_failures_go_to_tornados_loggers(program):
    said = program("logs")
    assert re.fullmatch(
        r"tornado\.access INFO 200 GET /a\?b=c \(127\.0\.0\.1\) \d+\.\d\dms", said[0]
    )
    assert said[1] == "tornado.application ERROR Uncaught exception GET /fail"
    assert said[-2] == "LookupError: no such thing"
    assert said[-1].startswith("tornado.access ERROR 500 GET /fail (127.0.0.1) ")


def test_overridden_methods_get_tornados_objects(program):
    assert program("overridden") == ["[True, True, 'a=1; b=2', None, 'GET']"]


@pytest.mark.parametrize(("where", "threads"), [("inline", False), ("threads", True)])
def test_a_container_beside_handlers(program, where, threads):
    """In Tornado's own server, and in ours, which leaves such requests to Tornado's."""
    failed = "(500, 'Internal Server Error\\n')"
    one_server = [
        "/ (200, 'hello')",
        "/beside (200, 'beside')",
        f"/fail {failed}",
        "/written (200, 'written')",
        "/replaced (503, '')",
        f"/text {failed}",
        f"/silent {failed}",
        "(200, '')",
        f"[{threads}, True, 'a=1; b=2', None, None]",
        "IncompleteRead",
    ]
    said = program("parsed", where)
    assert said[:20] == one_server * 2
    assert said[20:] == ["True (200, 'beside')", "ended", "400 True"]


def test_processes():
    port = free_port()
    process = subprocess.Popen(
        [*PROGRAM, "forked", str(port)], env=environment(), stderr=subprocess.PIPE, text=True
    )

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
                return response.read().decode()
        except (OSError, urllib.error.URLError):
            return None  # it does not listen yet, or no more

    try:
        eventually(lambda: ask("/"))
        # Each is asked to end, and does when it has answered; then the other one answers.
        seen = set()
        while process.poll() is None:
            seen.add(ask("/quit"))
        seen.discard(None)
        assert len(seen) == 2
        assert all(said.endswith(" True") for said in seen)
        assert f"{process.pid} True" not in seen
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
