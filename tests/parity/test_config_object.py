"""`cfg` beside gunicorn's own Config: the same names and answers, but for what is listed."""

from __future__ import annotations

import argparse
import json
import os
import signal
from typing import Any

import pytest
from gunicorn.config import Config as Theirs

from oxicorn.config import Config
from support import eventually

# Answers that differ, and why.
OTHERS = {
    "config": "found by name, and there are four names",
    "control_socket": "there is none",
    "default_proc_name": "it is our name",
    "keepalive": "an idle connection costs no thread",
    "limit_request_line": "RFC 9112 asks for 8000 octets at least",
    "logger_class": "our own",
    "proc_name": "ours, or the application's",
    "settings": "looked at below",
    "ssl_version": "has no meaning in either",
    "worker_class": "our own",
}

NAMES = sorted(
    name
    for name in {*Theirs().settings, *dir(Theirs), *vars(Theirs())}
    if not name.startswith("_") and name != "ssl_options"
)

SAMPLES: list[dict[str, Any]] = [
    {},
    {"bind": ["127.0.0.1:80", "[::1]:81", "unix:/run/a.sock", "fd://3", "unix:@a"]},
    {"bind": "localhost:80"},
    {"user": "root", "group": "daemon", "umask": "0o27"},
    {"user": 1, "group": 2},
    {"worker_class": "sync", "threads": 3, "workers": 2},
    {"worker_class": "gthread"},
    {"worker_class": "gevent"},
    {"raw_env": ["A=b", "C=d=e"], "chdir": "/tmp"},
    {"raw_paste_global_conf": ["a=b", r"c\=d=e"]},
    {"forwarded_allow_ips": "10.0.0.0/8, ::1", "proxy_allow_ips": "*"},
    {"forwarded_allow_ips": "*"},
    {"reuse_port": True, "reload_extra_files": ["/etc/hosts"]},
    {"logconfig_dict": {"version": 1}, "loglevel": "debug", "syslog_addr": "udp://a:1"},
    {"statsd_host": "localhost:1234", "statsd_prefix": "a", "dogstatsd_tags": "b:c"},
    {"statsd_host": "unix:///run/statsd"},
    {"secure_scheme_headers": {"X-A": "b"}, "forwarder_headers": "X_Y,x_z"},
    {"proc_name": "shop"},
]


def answer(config: Any, name: str) -> Any:
    found = getattr(config, name)
    if callable(found) and not isinstance(found, type):
        return found() if name.endswith("_networks") else "callable"
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: "-".join(sample) or "defaults")
def test_the_same_answers(sample):
    theirs, ours = Theirs(), Config()
    for name, value in sample.items():
        theirs.set(name, value)
        ours.set(name, value)
    for name in NAMES:
        if name == "worker_class" and sample.get(name) == "gevent":
            continue  # asked for it, gunicorn's patches the process, for all tests that follow
        their, our = answer(theirs, name), answer(ours, name)
        if name == "forwarder_headers":
            their, our = [[item.upper() for item in items] for items in (their, our)]
        if name == "is_ssl":
            their, our = bool(their), bool(our)
        if name in OTHERS and (name == "worker_class" or name not in sample):
            assert our is not their
        else:
            assert our == their, name
            assert type(our) is type(their), name


def test_what_differs_is_needed():
    theirs, ours = Theirs(), Config()
    same = [name for name in OTHERS if answer(theirs, name) == answer(ours, name)]
    assert same == []


def test_options_of_tls_are_those_of_gunicorn():
    assert Config().ssl_options.keys() == Theirs().ssl_options.keys()


def test_settings_are_objects():
    theirs, ours = Theirs(prog="shop"), Config(prog="shop")
    assert ours.settings.keys() >= theirs.settings.keys()
    for name, their in theirs.settings.items():
        our = ours.settings[name]
        assert our.name == their.name
        assert set(our.cli or ()) >= set(their.cli or ())
        assert our.short
        assert our.desc
    for config in (theirs, ours):
        config.set("sendfile", True)
        config.set("threads", 4)
        assert config.settings["worker_class"].get() in ("sync", theirs.settings["worker_class"])
        assert config.settings["threads"].value == 4
        assert config.settings["proc_name"].get() is None
    assert "workers" in str(ours)


def test_a_setting_is_not_assigned():
    for config in (Theirs(), Config()):
        with pytest.raises(AttributeError):
            config.workers = 3
        with pytest.raises(AttributeError):
            config.set("wrokers", 3)
        with pytest.raises(AttributeError):
            _ = config.wrokers
        config.own = 1
        assert config.own == 1


def test_the_same_parser():
    """Programs with a command line of their own put options beside the server's."""
    line = ["-w", "3", "-b", "a:1", "--bind=b:2", "--reload", "-e", "A=b", "shop:app"]
    found = []
    for config in (Theirs(prog="shop"), Config(prog="shop")):
        parser: argparse.ArgumentParser = config.parser()
        parser.add_argument("--colour")
        given = vars(parser.parse_args([*line, "--colour", "red"]))
        for name, value in given.items():
            if value is not None and name not in ("args", "colour"):
                config.set(name, value)
        assert given["args"] == ["shop:app"]
        assert given["colour"] == "red"
        assert given["threads"] is None
        found.append((config.workers, config.bind, config.reload, config.env))
    assert found[0] == found[1] == (3, ["a:1", "b:2"], True, {"A": "b"})


def test_words_from_the_environment(monkeypatch):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "-w 3 --name 'the shop'")
    for config in (Theirs(), Config()):
        assert config.get_cmd_args_from_env() == ["-w", "3", "--name", "the shop"]
        assert config.env_orig == dict(os.environ)
        config.validate()


HOOKS = """
import json, os

def on_starting(server):
    server.cfg.set('umask', 0o27)

def when_ready(server):
    server.cfg.pre_request(None, None)
    with open('seen', 'w') as file:
        json.dump({
            'address': server.cfg.address,
            'app': server.app.cfg.workers,
            'bind': server.cfg.bind,
            'class': server.cfg.worker_class_str,
            'env': server.cfg.env,
            'ssl': server.cfg.is_ssl,
            'title': server.cfg.proc_name,
            'uid': server.cfg.uid == server.cfg.user == os.geteuid(),
            'chdir': server.cfg.chdir == os.getcwd(),
            'value': server.cfg.settings['threads'].get(),
        }, file)

def post_fork(server, worker):
    assert isinstance(worker, worker.cfg.worker_class)
    assert isinstance(server.log, server.cfg.logger_class)
    if worker.age > 1:
        worker.cfg.set('server_header', f'worker {worker.age}')

def pre_request(worker, req):
    if req is not None:
        worker.log.info('threads: %s', worker.cfg.threads)
"""


def test_hooks_read_and_set(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(HOOKS)
    options = ["--threads", "2", "-e", "A=b", "--bind", f"unix:{tmp_path}/a.sock"]
    server = serve("hello", *options, cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().get("Server") == "oxicorn"
    assert json.loads((tmp_path / "seen").read_text()) == {
        "address": [f"{tmp_path}/a.sock", ["127.0.0.1", 0]],
        "app": 1,
        "bind": [f"unix:{tmp_path}/a.sock", "127.0.0.1:0"],
        "class": "gthread",
        "env": {"A": "b"},
        "ssl": False,
        "title": "apps.hello:app",
        "uid": True,
        "chdir": True,
        "value": 2,
    }
    assert "threads: 2" in server.log()
    assert (tmp_path / "a.sock").stat().st_mode & 0o777 == 0o750
    first = server.workers()
    os.kill(first[0], signal.SIGKILL)
    eventually(lambda: server.workers() not in ([], first))

    def is_second():
        with dial(server) as peer:
            return peer.get().get("Server") == "worker 2"

    eventually(is_second)
