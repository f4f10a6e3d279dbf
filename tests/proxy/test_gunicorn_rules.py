"""forwarded_allow_ips, secure_scheme_headers and forwarder_headers, as gunicorn has them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def told(serve, dial):
    def ask(options, *fields, target="/"):
        response = dial(serve("environs", *options)).get(target, *fields)
        return json.loads(response.body) if response.status == 200 else response.status

    return ask


def test_the_scheme_of_a_local_proxy(told):
    assert told((), "X-Forwarded-Proto: https")["wsgi.url_scheme"] == "'https'"
    assert told((), "X-Forwarded-Ssl: on")["wsgi.url_scheme"] == "'https'"
    assert told((), "X-Forwarded-Proto: HTTPS")["wsgi.url_scheme"] == "'http'"


def test_the_scheme_of_a_stranger(told):
    options = ("--forwarded-allow-ips", "10.0.0.0/8")
    environ = told(options, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
    assert environ["wsgi.url_scheme"] == "'http'"
    assert environ["HTTP_X_FORWARDED_PROTO"] == "'https'"


def test_contradictions_are_refused(told):
    assert told((), "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off") == 400


def test_script_name(told):
    environ = told((), "SCRIPT_NAME: /shop", target="/shop/a%20b")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("'/shop'", "'/a b'")
    assert told((), "SCRIPT_NAME: /elsewhere", target="/shop") == 400
    stranger = told(("--forwarded-allow-ips", "10.0.0.1"), "SCRIPT_NAME: /shop", target="/shop/a")
    assert (stranger["SCRIPT_NAME"], stranger["PATH_INFO"]) == ("''", "'/shop/a'")
    assert "HTTP_SCRIPT_NAME" not in stranger


def test_forwarder_headers(told):
    options = ("--forwarder-headers", "REMOTE_USER")
    environ = told(options, "REMOTE_USER: ann", "OTHER_NAME: b")
    assert environ["HTTP_REMOTE_USER"] == "'ann'"
    assert "HTTP_OTHER_NAME" not in environ


def test_the_group_takes_their_place(told):
    options = ("--proxy-trusted", "127.0.0.1", "--proxy-x-for", "1")
    environ = told(options, "X-Forwarded-Proto: https", "SCRIPT_NAME: /a", target="/a")
    assert environ["wsgi.url_scheme"] == "'http'"
    assert environ["SCRIPT_NAME"] == "''"
