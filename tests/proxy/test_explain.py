"""`oxicorn explain-proxy`, presets and refusals at start."""

from __future__ import annotations

import json

import pytest

NGINX = ("--proxy-preset", "nginx-local")


def test_steps_of_a_trusted_peer(oxicorn):
    done = oxicorn(
        "explain-proxy",
        "--peer",
        "127.0.0.1",
        "-H",
        "X-Forwarded-For: 1.1.1.1, 203.0.113.9",
        *NGINX,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "rules: the proxy group"
    assert lines[1] == "peer: 127.0.0.1, trusted"
    assert "203.0.113.9 is not trusted: it is the client" in lines
    assert lines[-1].startswith("result: client 203.0.113.9, scheme as the connection")


def test_a_stranger(oxicorn):
    done = oxicorn("explain-proxy", "--peer=10.0.0.7", "-H", "X-Forwarded-For: 1.1.1.1", *NGINX)
    assert "`X-Forwarded-For` is left out: the peer is not trusted" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("result: client 10.0.0.7")


def test_gunicorns_rules(oxicorn):
    done = oxicorn("explain-proxy", "--peer", "unix:", "-H", "X-Forwarded-Proto: https")
    assert done.stdout.splitlines()[-1] == "result: client a unix socket, scheme https"


def test_a_proxy_header(oxicorn):
    options = ("--proxy-preset", "haproxy-proxy-protocol", "--peer", "127.0.0.1")
    done = oxicorn("explain-proxy", *options, "--line", "PROXY TCP4 203.0.113.9 10.0.0.1 1 2")
    assert done.stdout.splitlines()[-1].startswith("result: client 203.0.113.9")
    done = oxicorn("explain-proxy", *options)
    assert done.stdout.splitlines()[-1] == "PROXY header: no PROXY header: the connection is closed"


def test_the_settings_file_is_read(oxicorn, tmp_path):
    (tmp_path / "oxicorn.conf.py").write_text("proxy = {'trusted': ['10.0.0.7'], 'x_for': 1}")
    done = oxicorn("explain-proxy", "--peer", "10.0.0.7", "-H", "X-Forwarded-For: 203.0.113.9")
    assert "client 203.0.113.9" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "args", [(), ("--peer", "example.org"), ("--peer", "::1", "--line", "PROXY UNKNOWN")]
)
def test_what_makes_no_sense(oxicorn, args):
    done = oxicorn("explain-proxy", *args)
    assert done.returncode == 2
    assert "Error: explain-proxy: " in done.stderr


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            "nginx-local",
            "'trusted': ['unix:', '127.0.0.1', '::1'], 'family': 'x-forwarded', 'x_for': 1",
        ),
        ("werkzeug", "'trusted': ['*']"),
        ("cloudflare-like:CF-Connecting-IP", "'headers': {'for': 'CF-Connecting-IP'}"),
        ("aws-alb", "'x_port': 1"),
        ("haproxy-proxy-protocol", "'proxy_protocol': 'any'"),
    ],
)
def test_presets_are_printed_in_full(oxicorn, preset, expected):
    done = oxicorn("--print-config", "--proxy-preset", preset)
    line = next(line for line in done.stdout.splitlines() if line.startswith("proxy "))
    assert expected in line
    assert line.count("': ") >= 16


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"trusted": ["10.0.0.1/8"]}, "zero bits after the prefix"),
        ({"x_fro": 1}, "perhaps `x_for`"),
        ({"map": {"X-A": "PATH_INFO"}}, "another environ variable"),
        ({"x_for": "many"}, "between 0 and 64, or auto"),
    ],
)
def test_mistakes_stop_the_start(oxicorn, tmp_path, keys, expected):
    (tmp_path / "proxy.json").write_text(json.dumps(keys))
    for config in (f"proxy = {keys!r}", "proxy_config = 'proxy.json'"):
        (tmp_path / "conf.py").write_text(config)
        done = oxicorn("-c", "conf.py", "apps.hello:app")
        assert done.returncode == 1, done.stderr
        assert expected in done.stderr
        assert "conf.py:1" in done.stderr


def test_a_file_that_is_none(oxicorn, tmp_path):
    (tmp_path / "proxy.toml").write_text("trusted = ")
    for file in ("proxy.toml", "missing.json"):
        done = oxicorn("--proxy-config", file, "apps.hello:app")
        assert done.returncode == 2
        assert "a JSON or TOML file" in done.stderr


def test_hints(oxicorn):
    done = oxicorn("--print-config", "--proxy-trusted", "*", "--proxy-x-for", "1")
    assert "trusts every client" in done.stderr
