"""NGINX Unit's configuration, and what is wrong with files in general."""

from __future__ import annotations

import json

import pytest

LOG_FORMAT = (
    '$remote_addr - [$time_local [${time_local}] "$request_line" $header_x_mode '
    "$response_header_etag ${dollar}5 100% $uri $arg_x $request_id"
)
CONFIG = {
    "listeners": {
        "*:8080": {
            "pass": "routes/main",
            "backlog": 511,
            "forwarded": {
                "client_ip": "X-Real-IP",
                "protocol": "X-Forwarded-Proto",
                "source": ["10.0.0.0/8", "!10.1.0.0/16"],
            },
        },
        "unix:/run/admin.sock": {"pass": "applications/shop"},
        "127.0.0.1:9000": {"pass": "applications/blog"},
    },
    "routes": {
        "main": [
            {"match": {"uri": "/static/*"}, "action": {"share": "/srv$uri"}},
            {"action": {"pass": "applications/shop"}},
        ]
    },
    "applications": {
        "shop": {
            "type": "python 3.11",
            "path": ["lib", "more"],
            "home": "/srv/venv/",
            "module": "shop.wsgi",
            "callable": "create_app",
            "factory": True,
            "processes": {"max": 6, "spare": 2, "idle_timeout": 20},
            "threads": 3,
            "limits": {"timeout": 20, "requests": 1000},
            "environment": {"SHOP_MODE": "live", "MOTTO": "a b"},
            "user": "root",
            "group": "root",
            "prefix": "/shop",
            "isolation": {"namespaces": {"network": True}},
            "frobnicate": 1,
        },
        "blog": {"type": "php"},
    },
    "settings": {
        "http": {
            "header_read_timeout": 15,
            "idle_timeout": 30,
            "max_body_size": 1048576,
            "discard_unsafe_fields": False,
            "static": {"mime_types": {}},
        }
    },
    "access_log": {"path": "/var/log/unit.log", "format": LOG_FORMAT},
}


def test_configuration(migrate, place):
    (place / "unit.json").write_text(json.dumps({"config": CONFIG}))
    found = migrate("unit.json")
    assert found.settings == {
        "wsgi_app": "shop.wsgi:create_app()",
        "bind": ["0.0.0.0:8080", "unix:/run/admin.sock"],
        "backlog": 511,
        "pythonpath": "more,lib",
        "workers": 6,
        "threads": 3,
        "timeout": 20,
        "max_requests": 1000,
        "raw_env": ["SHOP_MODE=live", "MOTTO=a b"],
        "user": "root",
        "group": "root",
        "client_head_timeout": 15,
        "keepalive": 30,
        "limit_request_body": 1048576,
        "header_map": "dangerous",
        "accesslog": "/var/log/unit.log",
        "access_log_format": (
            '%(h)s - [%(t)s %(t)s "%(r)s" %({x-mode}i)s %({etag}o)s $5 100%% %(U)s - '
            "%({request_id}x)s"
        ),
        "proxy": {
            "trusted": ["10.0.0.0/8"],
            "x_for": 1,
            "x_proto": 1,
            "headers": {"for": "X-Real-IP"},
        },
    }
    assert "start: /srv/venv/bin/oxicorn" in found.text
    assert "conditions" in found.note("routes match")
    assert "WhiteNoise" in found.note('share "/srv$uri"')
    assert "!10.1.0.0/16" in found.note("forwarded.source")
    assert "TTIN" in found.note("processes")
    assert "PublicUrl(app, prefix='/shop')" in found.note("prefix")
    assert "no equivalent" in found.note("applications.shop.frobnicate")
    assert "$arg_x: written as `-`" in found.note("access_log.format")


def test_simplest(migrate, place):
    (place / "unit.json").write_text(
        json.dumps(
            {
                "listeners": {"127.0.0.1:80": {"pass": "applications/a"}},
                "applications": {"a": {"type": "python", "module": "shop.wsgi", "processes": 2}},
            }
        )
    )
    assert migrate("unit.json").settings == {
        "wsgi_app": "shop.wsgi:application",
        "bind": ["127.0.0.1:80"],
        "workers": 2,
        "timeout": 0,
    }


def test_the_target_that_a_listener_leads_to(migrate, place):
    targets = {
        "admin": {"module": "shop.admin"},
        "site": {"module": "shop.wsgi", "callable": "app"},
    }
    config = {
        "listeners": {
            "*:8080": {"pass": "routes"},
            "127.0.0.1:9000": {"pass": "applications/shop/other"},
        },
        "routes": [
            {"action": {"share": "/srv$uri", "fallback": {"pass": "applications/shop/site"}}}
        ],
        "applications": {"shop": {"type": "python 3", "path": "lib", "targets": targets}},
    }
    (place / "unit.json").write_text(json.dumps(config))
    found = migrate("unit.json")
    assert found.settings["wsgi_app"] == "shop.wsgi:app"
    assert found.settings["bind"] == ["0.0.0.0:8080"]
    assert "site is taken, admin is not" in found.note("targets")
    assert found.text.count("share") == 1


def test_the_older_form_of_a_listener(migrate, place):
    config = {
        "listeners": {"*:8300": {"application": "blog"}},
        "applications": {"blog": {"type": "python", "module": "shop.wsgi", "processes": {}}},
    }
    (place / "unit.json").write_text(json.dumps(config))
    found = migrate("unit.json").settings
    assert (found["bind"], found["workers"]) == (["0.0.0.0:8300"], 1)


def test_one_of_several_has_to_be_chosen(migrate, oxicorn, place):
    one, two = ({"type": "python", "module": "shop.wsgi", "threads": n} for n in (1, 2))
    listeners = {"*:1": {"pass": "applications/two"}}
    config = {"listeners": listeners, "applications": {"one": one, "two": two}}
    (place / "unit.json").write_text(json.dumps(config))
    result = oxicorn("migrate", "unit.json", cwd=place)
    assert result.returncode == 2
    assert "`--application NAME` with one of one, two" in result.stderr
    assert migrate("--application", "two", "unit.json").settings["threads"] == 2
    result = oxicorn("migrate", "--application=three", "unit.json", cwd=place)
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("args", "problem", "status"),
    [
        (["nowhere.ini"], "cannot read nowhere.ini: No such file", 1),
        (["notes.txt"], "cannot tell what notes.txt is; say `--from KIND`", 2),
        (["broken.json"], "broken.json is no JSON", 1),
        (["--from", "unit", "notes.txt"], "notes.txt is no JSON", 1),
        (["other.json"], "has no `applications`", 1),
        (["--from", "apache", "notes.txt"], "expected gunicorn, uwsgi, waitress, unit", 2),
        (["--form", "unit"], "unknown option `--form`", 2),
        (["--from"], "`--from` needs a value", 2),
        ([], "no file given", 2),
        (["notes.txt", "more.txt"], "unexpected argument `more.txt`", 2),
        (["done.toml"], "is TOML already", 1),
        (["uwsgi.xml"], "uwsgi.xml has no section `uwsgi`", 1),
    ],
)
def test_what_cannot_be_read(oxicorn, place, args, problem, status):
    for name, text in {
        "notes.txt": "hello",
        "broken.json": "{",
        "other.json": '{"a": 1}',
        "done.toml": "",
        "uwsgi.xml": "<uwsgi/>",
    }.items():
        (place / name).write_text(text)
    result = oxicorn("migrate", *args, cwd=place)
    assert (result.returncode, result.stdout) == (status, "")
    assert problem in result.stderr


def test_help(oxicorn):
    result = oxicorn("migrate", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: oxicorn migrate")


def test_a_log_of_objects(migrate, place):
    log = {"path": "log", "format": {"who": "$remote_addr"}}
    config = {
        "listeners": {"*:1": {"pass": "applications/a"}},
        "applications": {"a": {"type": "python", "module": "shop.wsgi"}},
        "access_log": log,
    }
    (place / "unit.json").write_text(json.dumps(config))
    found = migrate("unit.json")
    assert found.settings["log_format"] == "json"
    assert "names of their own" in found.note("access_log.format")
