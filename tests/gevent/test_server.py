"""`oxicorn.gevent.WSGIServer` in a program, as gevent.pywsgi's is used."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gevent")


@pytest.fixture
def program(run_program):
    return lambda scenario: run_program("green_server", scenario)


def test_every_form_of_spawn(program):
    assert program("spawns") == ["(200, 'hello')"] * 6


def test_every_form_of_listener(program):
    assert program("listeners") == ["(200, 'hello') True False", "False True"] * 5


def test_environ_and_a_request_without_host(program):
    first, second = program("environ")
    assert first == """(200, "{'mine': 1, 'SCRIPT_NAME': ''}")"""
    assert second == r"b'HTTP/1.1 200 OK\r\n'"


def test_the_line_of_a_request(program):
    [line] = program("logs")
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(
        rf'127\.0\.0\.1 - - \[{date}\] "GET /a\?b=c HTTP/1\.1" 200 \d+ \d+\.\d{{6}}', line
    )


def test_failures_go_to_the_hub(program):
    assert program("errors") == ["500 [('/fail', 'LookupError', 'no such thing', True)]"]


def test_stop_waits_and_then_kills(program):
    assert program("stopping") == ["(200, 'hello')", "500 0"]


def test_serve_forever_ends_with_stop(program):
    assert program("forever") == ["False"]


def test_accepting_can_pause(program):
    assert program("pausing") == ["False", "(200, 'hello')"]


def test_tls(program):
    told = "('https', 'on', 'TLSv1.3', 100000)"
    assert program("secure") == ["True", told, told]


def test_what_is_not_there_is_refused(program):
    tls, context, unknown, overrides, backlog = program("refusals")
    assert tls == "certfile: TLS needs the file of a certificate"
    assert context.startswith("ssl_context: ")
    assert context.endswith(" give certfile and keyfile (and ca_certs, cert_reqs, ciphers) instead")
    assert unknown.startswith("hand_shake: not known of TLS here; ")
    assert overrides == "do_handle is not called by this server: override handle()"
    assert backlog.startswith("backlog must be None")
