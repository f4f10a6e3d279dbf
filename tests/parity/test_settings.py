"""gunicorn's own table of settings, read at run time, beside ours: only listed differences.

Whoever makes a refused or ignored setting work takes it from the lists below. A setting that a
newer gunicorn brings fails the first test until it is known here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from gunicorn import config as theirs
from gunicorn.glogging import Logger
from gunicorn.workers.sync import SyncWorker

from oxicorn._oxicorn import CommandLine, SettingError, setting_names
from support.server import environment

# Asking for them ends the start, with a line that says what to do instead.
REFUSED = {
    "asgi_disconnect_grace_period",
    "asgi_lifespan",
    "asgi_loop",
    "dirty_apps",
    "dirty_workers",
    "protocol",
    "websocket_max_message_size",
}
# Asking for them is warned about.
IGNORED = {
    "control_socket",
    "control_socket_mode",
    "dirty_graceful_timeout",
    "dirty_post_fork",
    "dirty_threads",
    "dirty_timeout",
    "dirty_worker_exit",
    "dirty_worker_init",
    "do_handshake_on_connect",
    "http_parser",
    "on_dirty_starting",
    "root_path",
    "spew",
    "ssl_version",
    "suppress_ragged_eofs",
    "uwsgi_allow_ips",
    "worker_tmp_dir",
}

# Defaults that differ, and why.
OTHER_DEFAULTS = {
    "chdir": "None: nobody changed the directory",
    "config": "found by name, and there are four names",
    "control_socket": "there is none",
    "default_proc_name": "it is our name",
    "group": "None: nobody asked for a change",
    "keepalive": "an idle connection costs no thread",
    "limit_request_line": "RFC 9112 asks for 8000 octets at least",
    "sendfile": "True is what gunicorn's None means",
    "ssl_version": "has no meaning in either",
    "user": "None: nobody asked for a change",
}

SETTINGS = {setting.name: setting for setting in theirs.KNOWN_SETTINGS}

# A value that is not the default, as a settings file would have it.
SAMPLES: dict[str, Any] = {
    "asgi_lifespan": "off",
    "asgi_loop": "uvloop",
    "bind": ["127.0.0.1:5000", "unix:a.sock"],
    "cert_reqs": 2,
    "chdir": "/tmp",
    "dogstatsd_tags": "a:b",
    "forwarded_allow_ips": "10.0.0.0/8,::1",
    "group": 1,
    "header_map": "refuse",
    "http2_cleartext": "both",
    "http2_max_frame_size": 20000,
    "http_parser": "python",
    "http_protocols": "h2",
    "logconfig_dict": {"version": 1},
    "logger_class": "shop.Logger",
    "loglevel": "debug",
    "pidfile": "/tmp/a.pid",
    "protocol": "uwsgi",
    "proxy_allow_ips": "10.0.0.0/8",
    "proxy_protocol": "v1",
    "reload_engine": "poll",
    "reload_extra_files": ["/etc/*.conf"],
    "secure_scheme_headers": {"X-HTTPS": "on"},
    "ssl_version": "TLSv1",
    "statsd_host": "localhost:8125",
    "suppress_ragged_eofs": False,
    "syslog_facility": "daemon",
    "umask": 0o22,
    "user": 1,
    "uwsgi_allow_ips": "10.0.0.0/8",
    "worker_class": "gthread",
}
NO_VALUE = {"pre_request", "post_request"}


def sample(setting: theirs.Setting) -> Any:
    if setting.name in SAMPLES:
        return SAMPLES[setting.name]
    if callable(setting.default):
        # Their defaults have the arity that is asked for.
        return setting.default
    validator = setting.validator.__name__
    if "int" in validator or "limit" in validator or "size" in validator:
        return 7
    if validator == "validate_bool":
        return not setting.default
    if validator == "validate_list_string":
        return ["A=b", "C=d,e"]
    return "else"


def in_file(**names: Any) -> Any:
    """Our settings, with these names in a settings file."""
    return CommandLine([], {}).settings("settings.py", names)


def on_line(*argv: str, **environ: str) -> Any:
    """Our settings, with this command line."""
    return CommandLine(argv, environ).settings()


def outcome(name: str) -> str:
    try:
        settings = in_file(**{name: sample(SETTINGS[name])})
    except SettingError as error:
        is_told = str(error).startswith(f"{name}: not supported by this version of oxicorn; ")
        return "refused" if is_told else str(error)
    ignored = [line for line in settings.warnings if line.startswith(f"{name}: has no effect; ")]
    assert len(ignored) <= 1, "once is enough"
    return "ignored" if ignored else "works"


def test_every_setting_works_or_is_listed():
    found = {name: outcome(name) for name in SETTINGS}
    assert set(found.values()) == {"works", "ignored", "refused"}
    refused = {name for name, what in found.items() if what == "refused"}
    ignored = {name for name, what in found.items() if what == "ignored"}
    assert refused == REFUSED
    assert ignored == IGNORED
    assert set(setting_names()) >= SETTINGS.keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_defaults(name):
    ours, default = getattr(on_line(), name), SETTINGS[name].default
    if callable(default) and not isinstance(default, type):
        assert ours is None, "no hook is set"
    elif name in OTHER_DEFAULTS:
        assert plain(name, ours) != plain(name, default), "no difference: take it from the list"
    else:
        assert plain(name, ours) == plain(name, default)


def plain(name: str, value: Any) -> Any:
    """One form for what both have forms of their own for."""
    validator = SETTINGS[name].validator.__name__
    if name == "forwarder_headers" and not isinstance(value, str):
        return [item.upper() for item in value]  # they mean the same in any case
    if validator in ("validate_string_to_addr_list", "validate_string_to_list") or (
        name == "http_protocols"
    ):
        return [item for item in value.split(",") if item] if isinstance(value, str) else value
    if name == "logconfig_dict":
        return value or None
    if name in ("accesslog", "statsd_host") and value is not None:
        return str(value)
    if validator == "validate_string" and not value:
        return None  # unset and empty are one
    if isinstance(value, type):
        return {SyncWorker: "sync", Logger: "gunicorn.glogging.Logger"}.get(value, value)
    return value


FLAGS = [(flag, setting) for setting in theirs.KNOWN_SETTINGS for flag in setting.cli or ()]


def is_here(setting: theirs.Setting) -> bool:
    return setting.name not in REFUSED


@pytest.mark.parametrize(
    ("flag", "setting"),
    [pair for pair in FLAGS if is_here(pair[1])],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_flags(flag, setting, tmp_path):
    """The same spellings give the same values."""
    parser = theirs.Config().parser()
    if setting.action in ("store_true", "store_const"):
        forms = [[flag]]
    else:
        value = on_line_form(setting)
        forms = [[flag, value], [f"{flag}={value}"]] if flag.startswith("--") else []
        if not flag.startswith("--"):
            forms = [[flag, value], [f"{flag}{value}"]]
    for form in forms:
        parsed = getattr(parser.parse_args(form), setting.name)
        cfg = theirs.Config()
        cfg.set(setting.name, parsed)
        found = getattr(on_line(*form), setting.name)
        assert same(setting.name, found, cfg.settings[setting.name].get()), form


def on_line_form(setting: theirs.Setting) -> str:
    value = sample(setting)
    if isinstance(value, list):
        return str(value[0])
    return str(value)


def same(name: str, ours: Any, their: Any) -> bool:
    if name == "statsd_host":
        return ours == f"{their[0]}:{their[1]}"
    if name in ("user", "group"):
        return int(ours) == their
    if name == "sendfile":
        return ours is False and their is False
    return plain(name, ours) == plain(name, their)


def test_repeated_options_add_up():
    words = ["-b", ":1", "--bind", ":2", "-e", "A=1,2", "--env=B=3"]
    settings = on_line(*words)
    parsed = theirs.Config().parser().parse_args(words)
    assert settings.raw_env == parsed.raw_env
    assert [address.rpartition(":")[2] for address in settings.bind] == ["1", "2"]
    assert on_line("-b", ":3", GUNICORN_CMD_ARGS="-b :1 -b :2").bind == ["0.0.0.0:3"]


def test_abbreviations():
    """What argparse takes for one of gunicorn's options means the same here."""
    known = {flag: setting.name for flag, setting in FLAGS if flag.startswith("--")}
    for flag, name in known.items():
        for length in range(3, len(flag)):
            prefix = flag[:length]
            candidates = [
                each for each in [*known, "--help", "--version"] if each.startswith(prefix)
            ]
            if candidates != [flag] or not is_here(SETTINGS[name]):
                continue
            takes = SETTINGS[name].action not in ("store_true", "store_const")
            words = [prefix, on_line_form(SETTINGS[name])] if takes else [prefix]
            assert on_line(*words).origin(name).startswith("-"), prefix


# Each with what comes of it in a settings file: a value, or an exception.
VALUES: list[tuple[str, Any]] = [
    *[("reload", value) for value in (True, False, "true", " False ", "TRUE", 2, "maybe", [])],
    *[("workers", value) for value in (3, "3", " 3 ", "0x10", "0o10", "0b11", 0, -1, "-1", "")],
    *[("workers", value) for value in ("three", "2.5", 2.5, [2], {})],
    *[("umask", value) for value in (0o22, 0, "18", "0o22", "0x12", -1, "rw")],
    *[("timeout", value) for value in (0, 30, "30", -1, "30s", "")],
    *[("proc_name", value) for value in (None, "shop", " shop ", ["shop"], {})],
    *[("pidfile", value) for value in (None, "", " a.pid ")],
    *[("raw_env", value) for value in (None, [], "A=1", "A=1,B=2", ["A=1", " B=2 "], ("A=1",))],
    *[("bind", value) for value in ("127.0.0.1:1", ["127.0.0.1:1", " unix:a "])],
    *[("secure_scheme_headers", value) for value in ({}, {"A": "b"}, "A", ["A"])],
    *[("forwarded_allow_ips", value) for value in ("*", "10.0.0.0/8, ::1", "10.0.0.1/8", "a", "")],
    *[("header_map", value) for value in ("drop", "REFUSE", "dangerous", "keep")],
    *[("proxy_protocol", value) for value in (True, False, "off", "v1", "v2", "auto", "v3")],
    *[("reload_engine", value) for value in ("auto", "poll", "fast")],
    *[("post_fork", value) for value in (lambda a: 0, lambda a, b: 0, "x", "os.nope", 3)],
    ("post_fork", "operator.add"),
    *[("post_request", value) for value in (lambda a: 0, lambda a, b: 0, lambda a, b, c: 0)],
    ("post_request", lambda a, b, c, d: 0),
]


# What one of us takes and the other does not.
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("umask", "022", 0o22),  # everybody who writes a mode so means octal
        ("reload", "yes", True),  # as in environment variables
        ("workers", "010", 10),
        ("workers", True, None),  # most likely a slip
        ("timeout", 2.5, 2.5),
        ("loglevel", "warn", None),  # gunicorn takes what it does not know for info
    ],
)
def test_other_values(name, value, expected):
    try:
        assert getattr(in_file(**{name: value}), name) == expected
    except SettingError:
        assert expected is None
    cfg = theirs.Config()
    try:
        cfg.set(name, value)
        assert cfg.settings[name].get() != expected
    except (TypeError, ValueError):
        assert expected is not None


@pytest.mark.parametrize(("name", "value"), VALUES, ids=lambda part: repr(part)[:24])
def test_value_rules(name, value):
    try:
        cfg = theirs.Config()
        cfg.set(name, value)
        expected = cfg.settings[name].get()
    except Exception as error:
        expected = error
    try:
        found = getattr(in_file(**{name: value}), name)
    except SettingError as error:
        found = error
    if isinstance(expected, Exception):
        assert isinstance(found, SettingError), f"gunicorn refuses it: {expected}"
    elif callable(expected):
        assert callable(found), found
    else:
        assert same(name, found, expected), (found, expected)


@pytest.mark.parametrize("name", [name for name in SETTINGS if is_here(SETTINGS[name])])
def test_each_is_a_variable_too(name):
    setting = SETTINGS[name]
    if callable(setting.default) and not isinstance(setting.default, type):
        with pytest.raises(SettingError, match="settings file only"):
            on_line(**{f"OXICORN_{name.upper()}": "shop.hook"})
        return
    if isinstance(sample(setting), dict):
        return
    value = sample(setting)
    text = ",".join(value) if isinstance(value, list) else str(value)
    found = on_line(**{f"OXICORN_{name.upper()}": text})
    assert found.origin(name) == f"$OXICORN_{name.upper()}"
    from_file = in_file(**{name: text.split(",") if isinstance(value, list) else value})
    assert getattr(found, name) == getattr(from_file, name)


def gunicorns(names: list[str], **environ: str) -> dict[str, Any]:
    """What gunicorn makes of some settings in an environment: it reads it when it is imported."""
    program = (
        "import json, sys\n"
        "from gunicorn.config import Config\n"
        "cfg = Config()\n"
        "print(json.dumps({name: getattr(cfg, name) for name in sys.argv[1:]}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        env=environment(environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "environ",
    [
        {"WEB_CONCURRENCY": "3", "PORT": "5001"},
        {"FORWARDED_ALLOW_IPS": "*", "SENDFILE": "yes"},
        {"SENDFILE": "0", "FORWARDED_ALLOW_IPS": "10.1.0.0/16,::1"},
        {"SENDFILE": "TRUE"},
        {"SENDFILE": "anything"},
    ],
    ids=str,
)
def test_the_environment_sets_defaults(environ):
    names = ["workers", "bind", "forwarded_allow_ips", "sendfile"]
    settings = on_line(**environ)
    for name, value in gunicorns(names, **environ).items():
        if name == "sendfile":
            value = value is not False
        assert plain(name, getattr(settings, name)) == plain(name, value)


@pytest.fixture
def both(tmp_path):
    """`workers` and `chdir` as both programs see them, from --print-config."""
    (tmp_path / "shop.py").write_text("app = print\n")

    def printed(*argv: str, **environ: str) -> list[str]:
        found = []
        for module in ("gunicorn", "oxicorn"):
            done = subprocess.run(
                [sys.executable, "-m", module, "--print-config", *argv, "shop:app"],
                cwd=tmp_path,
                env=environment(environ),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            lines = [line for line in done.stdout.splitlines() if line.startswith("workers ")]
            found.append(lines[0].split("=")[1].split("#")[0].strip())
        return found

    return printed


@pytest.mark.parametrize(
    "layers",
    [[], ["file"], ["file", "variable"], ["file", "variable", "line"], ["file", "line"]],
    ids=str,
)
def test_precedence(both, tmp_path, layers):
    if "file" in layers:
        (tmp_path / "gunicorn.conf.py").write_text("workers = 3\n")
    argv = ["-w", "5"] if "line" in layers else []
    environ = {"WEB_CONCURRENCY": "2"}
    if "variable" in layers:
        environ["GUNICORN_CMD_ARGS"] = "--workers 4 other:app"
    expected = {"": "2", "file": "3", "variable": "4", "line": "5"}[["", *layers][-1]]
    assert both(*argv, **environ) == [expected, expected]


def test_which_file_is_read(both, tmp_path):
    """The command line's, else the variable's, else the one that lies there; only one."""
    for number, name in enumerate(("gunicorn.conf.py", "variable.py", "line.py"), 3):
        (tmp_path / name).write_text(f"workers = {number}\n")
    assert both() == ["3", "3"]
    assert both(GUNICORN_CMD_ARGS="-c variable.py") == ["4", "4"]
    assert both("-c", "line.py", GUNICORN_CMD_ARGS="-c variable.py") == ["5", "5"]
    assert both("-c", "python:line") == ["5", "5"]
    assert both("--chdir", "/tmp", "-c", "file:line.py", "--pythonpath", str(tmp_path)) == [
        "5",
        "5",
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ["--no-such-option"],
        ["-Z"],
        ["--work", "2"],
        ["--workers"],
        ["--workers", "x"],
        ["--reload=1"],
    ],
    ids=str,
)
def test_a_wrong_command_line_ends_both_with_2(argv, tmp_path):
    for module in ("gunicorn", "oxicorn"):
        done = subprocess.run(
            [sys.executable, "-m", module, *argv],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, (module, done.stderr)
