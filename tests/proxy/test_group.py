"""The `proxy` group over raw sockets: what environ shows, and what it never shows."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

LOCAL = ("--proxy-trusted", "127.0.0.0/8")


@pytest.fixture
def told(serve, dial):
    """environ of one request, as an application sees it, given options and field lines."""

    def ask(options, *fields, target="/", bind="127.0.0.1:0"):
        server = serve("environs", *options, bind=bind)
        response = dial(server).get(target, *fields)
        assert response.status == 200, server.log()
        raw = json.loads(response.body)
        kept = {key: value for key, value in raw.items() if not key.startswith("wsgi.")}
        kept["wsgi.url_scheme"] = raw["wsgi.url_scheme"]
        kept.pop("type")
        return {
            key: ast.literal_eval(value) for key, value in kept.items() if not value.startswith("<")
        }

    return ask


def test_nothing_configured_leaves_the_fields_alone(told):
    environ = told((), "X-Forwarded-For: 203.0.113.9", "X-Real-IP: 203.0.113.9", "Forwarded: for=a")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.9"
    assert environ["HTTP_X_REAL_IP"] == "203.0.113.9"
    assert environ["HTTP_FORWARDED"] == "for=a"
    assert "oxicorn.proxy.orig" not in environ


def test_every_fact_of_a_trusted_proxy(told):
    options = (*LOCAL, "--proxy-x-for", "1", "--proxy-x-proto", "1", "--proxy-x-host", "1")
    environ = told(
        (*options, "--proxy-x-port=1", "--proxy-x-prefix=1"),
        "X-Forwarded-For: 1.1.1.1, 203.0.113.9:4711",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 8443",
        "X-Forwarded-Prefix: /shop/",
        target="/a%20b",
    )
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["REMOTE_PORT"] == "4711"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "shop.example:8443"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.example", "8443")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/a b")
    assert environ["oxicorn.proxy.peer"] == "127.0.0.1"
    originals = environ["oxicorn.proxy.orig"]
    assert originals == environ["werkzeug.proxy_fix.orig"]
    assert originals["REMOTE_ADDR"] == "127.0.0.1"
    assert originals["wsgi.url_scheme"] == "http"
    assert originals["HTTP_HOST"] == "test"
    assert originals["SCRIPT_NAME"] == ""


def test_a_stranger_changes_nothing_and_its_fields_are_gone(told):
    options = ("--proxy-trusted", "10.0.0.0/8", "--proxy-x-for", "1", "--proxy-x-proto", "1")
    environ = told(
        options, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Other: kept"
    )
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTP_X_FORWARDED_FOR" not in environ
    assert "HTTP_X_FORWARDED_PROTO" not in environ
    assert environ["HTTP_X_OTHER"] == "kept"
    assert "oxicorn.proxy.orig" not in environ


def test_a_mapped_host(told, tmp_path: Path):
    config = tmp_path / "conf.py"
    config.write_text(
        "proxy = {'trusted': ['127.0.0.1'], 'map': {'X-FHost': 'HTTP_HOST', 'X-User': 'MY_USER'}}"
    )
    environ = told(("-c", str(config)), "X-FHost: shop.example", "X-User: ann")
    assert environ["HTTP_HOST"] == environ["SERVER_NAME"] == "shop.example"
    assert environ["MY_USER"] == "ann"


def test_rfc_7239(told):
    options = (*LOCAL, "--proxy-family", "forwarded", "--proxy-forwarded", "auto")
    environ = told(options, 'Forwarded: for="[2001:db8::9]:81";proto=https;host=shop.example')
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("2001:db8::9", "81")
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "shop.example"


def test_a_unix_peer(told, tmp_path: Path):
    options = ("--proxy-preset", "nginx-local")
    bind = f"unix:{tmp_path}/s"
    environ = told(options, "X-Forwarded-For: 203.0.113.9", bind=bind)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.9", "0")


@pytest.mark.parametrize("kind", ["json", "toml"])
def test_a_file_of_its_own(told, tmp_path: Path, kind):
    file = tmp_path / f"proxy.{kind}"
    keys = {"trusted": ["127.0.0.1/32"], "x_for": 1, "strip": "unused", "map": {"X-A": "MY_A"}}
    if kind == "json":
        file.write_text(json.dumps({"proxy": keys}))
    else:
        file.write_text(
            'trusted = ["127.0.0.1/32"]\nx_for = 1\nstrip = "unused"\n[map]\nX-A = "MY_A"\n'
        )
    environ = told(
        ("--proxy-config", str(file)), "X-Forwarded-For: 203.0.113.9", "X-A: b", "X-Real-IP: c"
    )
    assert (environ["REMOTE_ADDR"], environ["MY_A"]) == ("203.0.113.9", "b")
    assert "HTTP_X_REAL_IP" not in environ


def test_strict_refuses_and_says_why(serve, dial):
    server = serve("environs", *LOCAL, "--proxy-x-for", "1", "--proxy-strict")
    peer = dial(server)
    assert peer.get("/", "X-Forwarded-For: unknown").status == 400
    assert "a forwarded address is none" in server.log()


def test_the_access_log_names_client_and_peer(serve, dial):
    logged = ("--access-logformat", "%(h)s %({oxicorn.proxy.peer}e)s")
    server = serve("hello", *LOCAL, "--proxy-x-for", "1", *logged)
    assert dial(server).get("/", "X-Forwarded-For: 203.0.113.9").status == 200
    server.stop()
    assert server.access_log() == "203.0.113.9 127.0.0.1\n"


def test_one_connection_many_clients(serve, dial):
    server = serve("environs", *LOCAL, "--proxy-x-for", "1")
    peer = dial(server)
    for client in ("203.0.113.1", "203.0.113.2", None, "203.0.113.3"):
        fields = [f"X-Forwarded-For: {client}"] if client else []
        told = json.loads(peer.get("/", *fields).body)
        assert told["REMOTE_ADDR"] == repr(client or "127.0.0.1")
