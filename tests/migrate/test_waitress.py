"""waitress: its command line, calls of `serve`, and PasteDeploy files."""

from __future__ import annotations

import pytest


def test_command_line(migrate):
    found = migrate(
        "waitress-serve", "--listen=*:8080", "--threads=8", "--call", "--ident=shop",
        "--connection-limit", "500", "--channel-timeout=20", "--max-request-body-size=1000000",
        "--trusted-proxy=127.0.0.1", "--trusted-proxy-count=2",
        "--trusted-proxy-headers=x-forwarded-for x-forwarded-proto", "--expose-tracebacks",
        "--url-scheme=https", "--url-prefix=/shop/", "shop.wsgi:create_app", checked=False,
    )  # fmt: skip
    assert found.settings == {
        "wsgi_app": "shop.wsgi:create_app()",
        "bind": ["0.0.0.0:8080", "[::]:8080"],
        "threads": 8,
        "timeout": 0,
        "server_header": "shop",
        "worker_connections": 500,
        "keepalive": 20,
        "client_send_timeout": 20,
        "limit_request_body": 1000000,
        "proxy": {
            "trusted": ["127.0.0.1"],
            "hop_check": "count",
            "x_for": 2,
            "x_proto": 1,
            "strip": "unused",
        },
    }
    assert "PublicUrl(app, scheme='https')" in found.note("url_scheme")
    assert "PublicUrl(app, prefix='/shop/')" in found.note("url_prefix")
    assert "never see tracebacks" in found.note("expose_tracebacks")


def test_defaults_are_written_out(migrate):
    found = migrate("waitress-serve", "shop.wsgi.app")
    assert found.settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["0.0.0.0:8080"],
        "threads": 4,
        "timeout": 0,
    }


@pytest.mark.parametrize(
    ("options", "bind"),
    [
        ("--host=127.0.0.1 --port=80", ["127.0.0.1:80"]),
        ("--port=80 --host=*", ["0.0.0.0:80", "[::]:80"]),
        ("--port=80 --host=* --no-ipv6", ["0.0.0.0:80"]),
        ("--listen=*:80 --no-ipv4", ["[::]:80"]),
        ("--listen=127.0.0.1:80 --listen=[::1]:81", ["127.0.0.1:80", "[::1]:81"]),
        ("--listen=localhost", ["localhost:8080"]),
        ("--host=::1", ["[::1]:8080"]),
    ],
)
def test_addresses(migrate, options, bind):
    assert migrate(f"waitress-serve {options} shop.wsgi:app").settings["bind"] == bind


def test_unix_socket(migrate):
    settings = migrate(
        "waitress-serve --unix-socket=/run/s --unix-socket-perms=660 shop.wsgi:app"
    ).settings
    assert (settings["bind"], settings["umask"]) == (["unix:/run/s"], 0o117)


def test_forwarded(migrate):
    found = migrate(
        "waitress-serve --trusted-proxy=* --trusted-proxy-headers=forwarded shop.wsgi:app"
        " --no-clear-untrusted-proxy-headers",
        checked=False,
    )
    assert found.settings["proxy"] == {
        "trusted": ["*"], "hop_check": "count", "family": "forwarded", "forwarded": 1,
        "strip": "never",
    }  # fmt: skip


def test_call(migrate):
    found = migrate(
        "serve(app, host='127.0.0.1', port=int(PORT), threads=2, recv_bytes=1, speed=9)",
        checked=False,
    )
    assert found.settings == {"bind": ["127.0.0.1:8080"], "threads": 2, "timeout": 0}
    assert "computed as `int(PORT)`" in found.note("port")
    assert "module:app" in found.note("wsgi_app")
    assert "reads what is there" in found.note("recv_bytes")
    assert "no such keyword" in found.note("speed")


def test_program(migrate, place):
    (place / "run.py").write_text(
        "from waitress import serve\nfrom shop.wsgi import app\n\nserve(app, listen='*:80 *:81')\n"
    )
    found = migrate("run.py", checked=False)
    assert found.settings["bind"] == ["0.0.0.0:80", "[::]:80", "0.0.0.0:81", "[::]:81"]


def test_paste_file(migrate, place):
    (place / "production.ini").write_text(
        "[DEFAULT]\nx = 1\n[app:main]\nuse = egg:shop\n[server:main]\nuse = egg:waitress#main\n"
        "listen = localhost:6543 127.0.0.1:80\nthreads = 6\ntrusted_proxy = 10.0.0.1\n"
    )
    found = migrate("production.ini", checked=False)
    assert found.settings["bind"] == ["localhost:6543", "127.0.0.1:80"]
    assert found.settings["threads"] == 6
    assert found.settings["proxy"]["x_proto"] == 1
    assert "loadapp('config:production.ini'" in found.note("wsgi_app")


@pytest.mark.parametrize(
    ("command", "problem", "status"),
    [
        ("waitress-serve --treads=3 app:app", "did you mean `--threads`?", 2),
        ("waitress-serve --threads", "`--threads` needs a value", 2),
        ("waitress-serve a:a b:b", "unexpected argument `b:b`", 2),
        ("waitress-serve --listen=*:1 --port=2 a:a", "both say where to listen", 1),
        ("waitress-serve --trusted-proxy-count=2 a:a", "no meaning without `trusted_proxy`", 1),
        ("waitress-serve 'a:a", "a quote is not closed", 2),
    ],
)
def test_wrong_commands(oxicorn, command, problem, status):
    result = oxicorn("migrate", command)
    assert (result.returncode, result.stdout) == (status, "")
    assert problem in result.stderr
