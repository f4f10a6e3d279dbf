"""Handler classes and environ classes of `oxicorn.gevent.WSGIServer`, as gevent.pywsgi has them."""

from __future__ import annotations

import pytest

pytest.importorskip("gevent")


@pytest.fixture
def program(run_program):
    return lambda scenario: run_program("green_handlers", scenario)


def test_handlers_that_log_in_their_own_way(program):
    terse, silent = program("logging")
    assert terse == r"['GET / 200 200 OK me\n', 'GET /a?b 200 200 OK me\n']"
    assert silent == (
        "[('GET / HTTP/1.1', b'200 OK', '/'), ('GET /fail HTTP/1.1', b'500', '/fail')]"
    )


def test_handlers_that_change_the_head(program):
    assert program("heads") == [
        "200 hello [None, '200', None, '5']",
        "203 hello ['/', None, '200 OK', '5']",
    ]


def test_environ_from_handler_server_and_class(program):
    assert program("environs") == [
        "('dict', 1, '/mount')",
        "('dict', 1, '') ('dict', 2, '')",
        "('SecureEnviron', None, '')",
        "('dict', 'later', '')",
    ]


def test_failures_reach_the_hub_without_secrets(program):
    shown = "{'REMOTE_ADDR': '127.0.0.1', 'REMOTE_PORT': 'PORT', 'HTTP_HOST': 'me', (hidden keys: "
    status, seen = program("failures")
    assert status == "500"
    assert seen.startswith(f"[('LookupError', True, \"{shown}")


def test_handlers_of_whole_connections(program):
    *each, touching, pipelined, refused = program("connections")
    assert each == ["[True]", "abcd hello ('dict', None, '')", "4 True"] * 3
    assert touching == "('dict', True, '')"
    assert pipelined == "2 2"
    assert refused == r"b'HTTP/1.1 400 Bad Request\r\n'"


def test_a_server_that_serves_connections_itself(program):
    assert program("raw") == ["b\"GET '127.0.0.1'\"", "b'' ['LookupError']"]


def test_idle_connections_of_handlers_do_not_hold_up_the_end(program):
    assert program("stopping") == ["hello 1", "0 True", "0"]
