"""uWSGI's ini files: their dialect, and what each option becomes."""

from __future__ import annotations

import pytest

from support.certificates import Authority

DJANGO = """
# A site behind nginx, as in many tutorials.
[uwsgi]
base = {place}
project = shop
chdir = %(base)
module = %(project).wsgi:application
home = /srv/venvs/%(project)

master = true
processes = 4
threads = 2
socket = %(base)/%n.sock
chmod-socket = 660
vacuum = true
die-on-term = true
harakiri = 60
max-requests = 5000
buffer-size = 32768
post-buffering = 1
env = DJANGO_SETTINGS_MODULE=shop.settings
env = SHOP_MODE=$(SHOP_MODE)
static-map = /static=%dstatic
logto = /var/log/%n.log
cheaper = 2
stats = 127.0.0.1:1717

[other]
processes = 99
"""


def test_site_behind_nginx(migrate, place):
    (place / "site.ini").write_text(DJANGO.format(place=place))
    found = migrate("site.ini", env={"SHOP_MODE": "live"})
    assert found.settings == {
        "wsgi_app": "shop.wsgi:application",
        "bind": [f"unix:{place}/site.sock"],
        "chdir": str(place),
        "workers": 4,
        "threads": 2,
        "umask": 0o006,
        "timeout": 60,
        "max_requests": 5000,
        "limit_request_line": 32768,
        "limit_request_field_size": 32768,
        "raw_env": ["DJANGO_SETTINGS_MODULE=shop.settings", "SHOP_MODE=live"],
        "errorlog": "/var/log/site.log",
        "accesslog": "/var/log/site.log",
    }
    assert "start: /srv/venvs/shop/bin/oxicorn -c oxicorn.toml" in found.text
    assert f"`proxy_pass http://unix:{place}/site.sock;`" in found.note("socket")
    assert "WhiteNoise" in found.note("static-map (site.ini:23)")
    assert "TTIN and TTOU" in found.note("cheaper")
    assert "$(SHOP_MODE)" in found.note("env (site.ini:22)")
    assert "each request" in found.note("harakiri")
    assert "there always is one" in found.note("master")
    assert "Has no equivalent: stats" in found.stderr
    assert "vacuum" not in found.stderr


def test_plain_http(migrate, place):
    (place / "uwsgi.ini").write_text(
        "[uwsgi]\nhttp = :8080\nhttp-socket = 127.0.0.1:9000\nwsgi-file = shop/wsgi.py\n"
        "callable = app\nworkers = 2\ndisable-logging = true\nlazy-apps = true\n"
    )
    found = migrate("uwsgi.ini")
    assert found.settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["0.0.0.0:8080", "127.0.0.1:9000"],
        "workers": 2,
        "timeout": 0,
    }
    assert "lazy-apps is off" not in found.text


def test_options_that_are_off_are_not_there(migrate, place):
    (place / "uwsgi.ini").write_text(
        "[uwsgi]\nhttp-socket = :8080\nmodule = shop.wsgi\nlazy-apps = false\nreuse-port = false\n"
        "py-autoreload = 0\ncheaper = 0\ndisable-logging = false\n"
    )
    found = migrate("uwsgi.ini")
    assert found.settings == {
        "wsgi_app": "shop.wsgi:application",
        "bind": ["0.0.0.0:8080"],
        "timeout": 0,
        "accesslog": "-",
    }
    assert "lazy-apps is off" in found.text
    assert "cheaper" not in found.text


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("listen = 511", "backlog", 511),
        ("reuse-port = true", "reuse_port", True),
        ("uid = daemon", "user", "daemon"),
        ("gid = 0", "group", "0"),
        ("chmod-socket = 640", "umask", 0o026),
        ("pidfile = /run/%n.pid", "pidfile", "/run/x.pid"),
        ("procname-prefix = shop", "proc_name", "shop"),
        ("py-autoreload = 2", "reload", True),
        ("limit-post = 1048576", "limit_request_body", 1048576),
        ("max-requests-delta = 10", "max_requests_jitter", 10),
        ("worker-reload-mercy = 8", "graceful_timeout", 8),
        ("post-buffering = 16777216", "body_memory", 16777216),
        ("pythonpath = ..", "pythonpath", ".."),
        ("logger = file:/var/log/x", "errorlog", "/var/log/x"),
        ("daemonize = /var/log/x", "daemon", True),
        ("gevent = 200", "worker_connections", 200),
        (
            'log-format = %(addr) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(msecs)',
            "access_log_format",
            '%(h)s %(t)s "%(r)s" %(s)s %(M)s',
        ),
        ("logformat = %(var.HTTP_X_ID) %(uagent)", "access_log_format", "%({x-id}i)s %(a)s"),
    ],
)
def test_each_option(migrate, place, line, name, value):
    (place / "x.ini").write_text(
        f"[uwsgi]\nmodule = shop.wsgi:app\nhttp-socket = 127.0.0.1:0\n{line}\n"
    )
    assert migrate("x.ini").settings[name] == value


def test_wsgi_file_elsewhere(migrate, place):
    (place / "u.ini").write_text(f"[uwsgi]\nhttp-socket=:1\nwsgi-file = {place}/shop/wsgi.py\n")
    settings = migrate("u.ini").settings
    assert (settings["wsgi_app"], settings["pythonpath"]) == ("wsgi:application", f"{place}/shop")


def test_one_mount_is_the_application(migrate, place):
    (place / "u.ini").write_text(
        "[uwsgi]\nhttp-socket=:1\nmount = /shop=shop/wsgi.py\ncallable=app\n"
        "manage-script-name = true\n"
    )
    found = migrate("u.ini")
    assert found.settings["wsgi_app"] == "shop.wsgi:app"
    assert "PublicUrl(app, prefix='/shop')" in found.note("mount")


def test_included_files_and_sections(migrate, place):
    (place / "base.ini").write_text("[uwsgi]\nworkers = 3\nname = shop\n[slow]\nharakiri = 99\n")
    (place / "u.ini").write_text(
        "[uwsgi]\nini = base.ini\ninclude = base.ini:slow\nini = :here\n[here]\n"
        "http-socket = unix:/run/%(name).sock\nset-placeholder = mod=shop.wsgi\n"
        "module = %(mod):app\n"
    )
    assert migrate("u.ini").settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["unix:/run/shop.sock"],
        "workers": 3,
        "timeout": 99,
        "accesslog": "-",
    }


def test_section_of_its_own(migrate, place):
    (place / "u.ini").write_text("[stage]\nmodule = shop.wsgi:app\nhttp-socket = :1\nworkers=7\n")
    assert migrate("--from", "uwsgi", "u.ini:stage").settings["workers"] == 7


def test_placeholders_that_nobody_knows(migrate, place):
    (place / "u.ini").write_text("[uwsgi]\nmodule=shop.wsgi:app\nhttp-socket=:1\nenv=A=%(nobody)\n")
    assert "%(nobody) is not known" in migrate("u.ini").note("env (u.ini:4)")


def test_unknown_and_wrong_options_are_listed(migrate, place):
    (place / "u.ini").write_text(
        "[uwsgi]\nmodule=shop.wsgi:app\nhttp-socket=:1\nworkers=some\nfrobnicate=1\n"
    )
    found = migrate("u.ini")
    assert "expected a number, got `some`" in found.note("workers (u.ini:4)")
    assert "not known to this command" in found.note("frobnicate (u.ini:5)")


def test_files_that_cannot_be_read(oxicorn, place):
    (place / "empty.ini").write_text("[uwsgi]\n")
    (place / "loop.ini").write_text("[uwsgi]\nini = loop.ini\n")
    for name, problem in (
        ("empty.ini", "has no section [uwsgi], or nothing in it"),
        ("loop.ini", "included again and again"),
    ):
        result = oxicorn("migrate", name, cwd=place)
        assert (result.returncode, result.stdout) == (1, "")
        assert problem in result.stderr


FORMS = {
    "site.ini": """
[uwsgi]
http-socket = 127.0.0.1:0
module = shop.wsgi:app
master = true
env = A=b
env = C=d # e
static-map = /static=%dstatic
pidfile = /run/%n.pid
harakiri = 20
[slow]
harakiri = 99
""",
    "site.xml": """<?xml version="1.0"?>
<configs>
  <!-- a comment -->
  <uwsgi>
    <http-socket>127.0.0.1:0</http-socket>
    <module>shop.wsgi:app</module>
    <master/>
    <env>A=b</env>
    <env>C=d # e</env>
    <static-map>/static=%dstatic</static-map>
    <pidfile>/run/%n.pid</pidfile>
    <harakiri>20</harakiri>
  </uwsgi>
  <uwsgi id="slow"><harakiri>99</harakiri></uwsgi>
</configs>
""",
    "site.yaml": """---
# a comment
uwsgi:
    http_socket: "127.0.0.1:0"
    module: shop.wsgi:app   # and another
    master: true
    env:
    - A=b
    - 'C=d # e'
    static-map: /static=%dstatic
    pidfile: /run/%n.pid
    harakiri: 20
slow:
    harakiri: 99
""",
    "site.json": """
{"uwsgi": {"http-socket": "127.0.0.1:0", "module": "shop.wsgi:app", "master": true,
  "env": ["A=b", "C=d # e"], "static-map": "/static=%dstatic", "pidfile": "/run/%n.pid",
  "harakiri": 20}, "slow": {"harakiri": 99}}
""",
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_says_the_same(migrate, place, name):
    (place / name).write_text(FORMS[name])
    found = migrate(name)
    assert found.settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["127.0.0.1:0"],
        "raw_env": ["A=b", "C=d # e"],
        "pidfile": "/run/site.pid",
        "timeout": 20,
        "accesslog": "-",
    }
    assert "WhiteNoise" in found.note("static-map")
    assert "there always is one" in found.note("master")
    if name != "site.json":
        lines = FORMS[name].split("\n")
        number = next(n for n, line in enumerate(lines, 1) if "static-map" in line)
        assert f"static-map ({name}:{number})" in found.text
    slow = migrate("--from", "uwsgi", f"{name}:slow", checked=False)
    assert slow.settings["timeout"] == 99


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_known_by_what_stands_in_it(migrate, place, name):
    (place / "options").write_text(FORMS[name])
    assert migrate("options").settings["timeout"] == 20


def test_forms_that_include_each_other(migrate, place):
    (place / "a.yaml").write_text("uwsgi:\n  xml: b.xml\n  include: c.json\n  threads: 3\n")
    (place / "b.xml").write_text("<uwsgi><module>shop.wsgi:app</module><ini>d.conf</ini></uwsgi>")
    (place / "c.json").write_text('{"uwsgi": {"http-socket": ":1"}}')
    (place / "d.conf").write_text("[uwsgi]\nworkers = 2\n")
    assert migrate("a.yaml").settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["0.0.0.0:1"],
        "workers": 2,
        "threads": 3,
        "timeout": 0,
        "accesslog": "-",
    }


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.xml", "<uwsgi><module>", "a.xml is no XML: no element found: line 1"),
        ("a.xml", "<other/>", "a.xml has no section `uwsgi`"),
        ("a.json", '{"uwsgi": {"a": {"b": 1}}}', "a is neither a text nor a list of texts"),
        ("a.yaml", "uwsgi:\n  a: &b c\n", "a.yaml:2: `&b c` is more YAML than"),
        ("a.yaml", "uwsgi:\n  nothing\n", "a.yaml:2: expected `name: value`, got `nothing`"),
        ("a.yaml", "uwsgi:\n  a: 'b\n", "a.yaml:2: a quote is not closed"),
    ],
)
def test_forms_that_are_broken(oxicorn, place, name, text, problem):
    (place / name).write_text(text)
    result = oxicorn("migrate", "--from", "uwsgi", name, cwd=place)
    assert (result.returncode, result.stdout) == (1, "")
    assert problem in result.stderr


BLOCKS = """
[uwsgi]
module = shop.wsgi:app
workers = 2
if-env = SHOP_PORT
http-socket = 127.0.0.1:%(_)
endif =
if-not-env = SHOP_PORT
http-socket = 127.0.0.1:1
endif =
if-env = SHOP_MODE=live
threads = 8
endif =
if-opt = workers=2
harakiri = 20
endif =
if-not-opt = workers
harakiri = 21
endif =
if-dir = {place}/shop
pythonpath = %(_)
endif =
if-exists = {place}/nowhere
chdir = {place}/nowhere
end =
for = A B C
env = LETTER_%(_)=1
endfor =
for-times = 2
env = NUMBER_%(_)=%(_)
endfor =
for-glob = {place}/*.env
env = FILE=%(_)
endfor =
max-requests = 7
"""


def test_conditions_and_loops(migrate, place):
    (place / "a.env").touch()
    (place / "site.ini").write_text(BLOCKS.format(place=place))
    found = migrate("site.ini", env={"SHOP_PORT": "2222", "SHOP_MODE": "test"})
    letters = [f"LETTER_{each}=1" for each in "ABC"]
    assert found.settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["127.0.0.1:2222"],
        "workers": 2,
        "timeout": 20,
        "pythonpath": f"{place}/shop",
        "raw_env": [*letters, "NUMBER_1=1", "NUMBER_2=2", f"FILE={place}/a.env"],
        "max_requests": 7,
        "accesslog": "-",
    }
    taken, left_out = "holds here and now: its lines are taken", "does not hold here and now"
    assert f"`SHOP_PORT` {taken}" in found.note("if-env (site.ini:5)")
    assert left_out in found.note("if-not-env (site.ini:8)")
    assert left_out in found.note("if-env (site.ini:11)")
    assert left_out in found.note("if-exists")
    assert "it finds 1 here" in found.note("for-glob")
    assert "endif" not in found.text


def test_a_block_without_an_end(migrate, place):
    (place / "site.ini").write_text(
        "[uwsgi]\nmodule=shop.wsgi:app\nhttp-socket=:1\nif-env=NOWHERE\nworkers=9\n"
    )
    assert "workers" not in migrate("site.ini").settings


def test_plain_addresses_beside_tls(migrate, place):
    chain, key = Authority(place).issue("shop.example")
    (place / "site.ini").write_text(
        f"[uwsgi]\nmodule=shop.wsgi:app\nhttp=:1\nhttps=:2,{chain},{key}\n"
    )
    found = migrate("site.ini")
    assert found.settings["bind"] == ["0.0.0.0:1", "0.0.0.0:2"]
    assert "every address speaks TLS" in found.note("http (site.ini:3)")
