"""What a program says to `serve` and `Server`: settings by their names, or waitress's keywords."""

from __future__ import annotations

import difflib
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from oxicorn import waitress_names
from oxicorn._oxicorn import CommandLine, Settings, setting_names
from oxicorn.middleware import PublicUrl

HOST, PORT = "127.0.0.1", 8000

_PACKAGE = Path(__file__).parent

# What has no meaning where there is no command line.
_COMMAND_ONLY = {
    "chdir",
    "check_config",
    "config",
    "daemon",
    "enable_stdio_inheritance",
    "paste",
    "pre_exec",
    "print_config",
    "pythonpath",
    "raw_env",
    "raw_paste_global_conf",
    "reload",
    "reload_engine",
    "reload_extra_files",
    "wsgi_app",
}
# What a master does.
_MASTER_ONLY = {
    "boot_timeout",
    "child_exit",
    "default_proc_name",
    "disable_redirect_access_to_syslog",
    "dogstatsd_tags",
    "group",
    "initgroups",
    "logconfig",
    "logconfig_dict",
    "logconfig_json",
    "logger_class",
    "max_requests",
    "max_requests_jitter",
    "nworkers_changed",
    "on_exit",
    "on_reload",
    "on_starting",
    "pidfile",
    "post_fork",
    "post_request",
    "post_worker_init",
    "pre_fork",
    "pre_request",
    "proc_name",
    "statsd_host",
    "statsd_prefix",
    "syslog",
    "syslog_addr",
    "syslog_facility",
    "syslog_prefix",
    "timeout",
    "user",
    "when_ready",
    "worker_abort",
    "worker_exit",
    "worker_int",
    "workers",
}

# What takes the place of a worker class.
_LOOPS = {
    "eventlet": "oxicorn.eventlet.server",
    "gevent": "oxicorn.gevent.WSGIServer",
    "geventwebsocket": "oxicorn.gevent.WSGIServer with handler_class=WebSocketHandler",
    "tornado": "oxicorn.tornado.HTTPServer",
}


def checked(app: Callable[..., Any]) -> Callable[..., Any]:
    if callable(app):
        return app
    raise TypeError(f"the application is of type {type(app).__name__!r}, which is not callable")


def understand(
    app: Callable[..., Any], host: str, port: int, given: dict[str, Any]
) -> tuple[Callable[..., Any], str, int, dict[str, Any]]:
    """The same call in the names of settings, if it has waitress's keywords."""
    if host != "*" and not any(map(waitress_names.is_keyword, given)):
        return app, host, port, given
    place: dict[str, Any] = {"host": host} if host != HOST else {}
    if port != PORT:
        place["port"] = port
    meant = waitress_names.translate({**place, **given})
    warn(f"`{name}` has no effect: {reason}" for name, reason in meant.no_effect.items())
    if meant.prefix or meant.scheme not in (None, "http"):
        app = PublicUrl(checked(app), meant.scheme, meant.prefix)
    if "bind" in meant.settings:
        host, port = HOST, PORT
    return app, host, port, meant.settings


def read(host: str, port: int, given: Mapping[str, Any]) -> Settings:
    """The settings that a program gives by name; what it cannot mean is refused."""
    names = setting_names()
    for name in given:
        if name in _COMMAND_ONLY:
            raise TypeError(f"`{name}` belongs to the command line")
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise TypeError(f"unknown setting `{name}`{hint}")
    values = dict(given)
    if "bind" not in values:
        values["bind"] = _join(host, port)
    elif (host, port) != (HOST, PORT):
        raise TypeError("give either `bind` or `host` and `port`")
    settings = CommandLine([], {}).settings(framework=values)
    if settings.worker_class in _LOOPS:
        raise TypeError(f"`worker_class`: in a program, use {_LOOPS[settings.worker_class]}")
    return settings


def warn(lines: Iterable[str]) -> None:
    """Says what has no effect, at the line that calls `serve` or makes a server."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).parent == _PACKAGE:
        level, frame = level + 1, frame.f_back
    for line in lines:
        warnings.warn(line, stacklevel=level)


def need_master(given: Mapping[str, Any], settings: Settings) -> list[str]:
    """The settings among those given that have an effect in a master only."""
    default = CommandLine([], {}).settings()
    return sorted(
        name
        for name in given.keys() & _MASTER_ONLY
        # 0 turns `timeout` off.
        if getattr(settings, name) not in (getattr(default, name), 0)
    )


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind_text(listener: tuple[str, int] | str | int | socket.socket) -> str:
    if isinstance(listener, socket.socket):
        return f"fd://{listener.fileno()}"
    if isinstance(listener, tuple):
        return _join(*listener[:2])
    if isinstance(listener, int) or listener.isdigit():
        return f":{listener}"
    return listener
