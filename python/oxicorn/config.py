"""`cfg`: the settings as hooks, loggers and programs that embed the server see them.

Names and shapes are those of gunicorn's `gunicorn.config.Config`, for which this class stands where
gunicorn is not installed.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from oxicorn import _oxicorn
from oxicorn._oxicorn import CommandLine, Settings, describe_settings

__all__ = ["Config", "Setting"]

# What gives defaults; the rest of the environment belongs to the command line.
_VARIABLES = ("FORWARDED_ALLOW_IPS", "PORT", "SENDFILE", "WEB_CONCURRENCY")

_FACTS = {str(facts["name"]): facts for facts in describe_settings()}
_NETWORKS = frozenset({"forwarded_allow_ips", "proxy_allow_ips", "uwsgi_allow_ips"})
# gunicorn's section for TLS.
_SSL = (
    "keyfile",
    "certfile",
    "ssl_version",
    "cert_reqs",
    "ca_certs",
    "suppress_ragged_eofs",
    "do_handshake_on_connect",
    "ciphers",
)


class Config:
    """The settings, each an attribute of its name; they are changed by `set` only.

    What is derived from several of them, or from the process, is what gunicorn derives: `address`
    is where to listen as sockets have it, `uid` and `gid` are numbers, `worker_class` and
    `logger_class` classes, `env` what `raw_env` says. `settings` has the values without that.
    """

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = dict(os.environ)
        """The environment before anything was set in it."""
        self.settings = _Entries(self)
        """The settings by name."""
        self._base: Settings | None = None
        self._given: dict[str, Any] = {}
        self._whole: Settings | None = None

    @classmethod
    def of(cls, settings: Settings) -> Config:
        """The settings of a server that was started by its command line."""
        config = cls()
        config.start_from(settings)
        return config

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "settings":
            raise AttributeError(name)
        return self._value(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FACTS:
            raise AttributeError(f"`{name}` is a setting: cfg.set({name!r}, …)")
        super().__setattr__(name, value)

    def __str__(self) -> str:
        return "\n".join(self.resolve().listing())

    # What is derived.

    @property
    def address(self) -> list[tuple[str, int] | str | int]:
        """Where to listen: host and port, the path of a unix socket, or a descriptor."""
        return [_parsed(text) for text in self._value("bind")]

    @property
    def env(self) -> dict[str, str]:
        """The variables of `raw_env`."""
        pairs = (pair.partition("=") for pair in self._value("raw_env"))
        return {name: text for name, _, text in pairs}

    @property
    def gid(self) -> int:
        """The group of the workers."""
        return int(self._value("group"))

    @property
    def is_ssl(self) -> bool:
        """Whether the listeners speak TLS."""
        return bool(self._value("certfile") or self._value("keyfile"))

    @property
    def logger_class(self) -> Any:
        """The class of the logs; raises `ValueError`."""
        from oxicorn import log_setup

        return log_setup.load_class(self.resolve())

    @property
    def paste_global_conf(self) -> dict[str, str]:
        """The variables of `raw_paste_global_conf`."""
        from oxicorn.app.pasterapp import global_conf

        return global_conf(self._value("raw_paste_global_conf"))

    @property
    def proc_name(self) -> str:
        """The name in the titles of the processes."""
        from oxicorn.titles import name_of

        return name_of(self.resolve())

    @property
    def ssl_options(self) -> dict[str, Any]:
        """The settings of TLS that gunicorn has."""
        return {name: self._value(name) for name in _SSL}

    @property
    def uid(self) -> int:
        """The user of the workers."""
        return int(self._value("user"))

    @property
    def worker_class(self) -> type:
        """The class of `worker` in hooks."""
        from oxicorn.worker import Worker

        return Worker

    @property
    def worker_class_str(self) -> str:
        """How workers run the application."""
        name = str(self._value("worker_class"))
        return "gthread" if name == "sync" and self._value("threads") > 1 else name

    def forwarded_allow_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks of `forwarded_allow_ips`."""
        return self._networks("forwarded_allow_ips")

    def proxy_allow_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks of `proxy_allow_ips`."""
        return self._networks("proxy_allow_ips")

    # What programs do with it.

    def set(self, name: str, value: Any) -> None:
        """Sets one; the last word wins. Raises `SettingError` if the value does not fit."""
        if name not in self.settings:
            raise AttributeError(f"no setting `{name}`")
        given = {**self._given, name: value}
        self._whole = self._put_together(given)
        self._given = given

    def validate(self) -> None:
        """Does nothing: values are judged when they are set."""

    def get_cmd_args_from_env(self) -> list[str]:
        """The words that the environment adds to the command line."""
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def parser(self) -> argparse.ArgumentParser:
        """A parser of the command line that leaves `None` for what it does not name."""
        parser = argparse.ArgumentParser(usage=self.usage, prog=self.prog)
        version = f"%(prog)s (version {_oxicorn.__version__})"
        parser.add_argument("-v", "--version", action="version", version=version)
        parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        for setting in self.settings.values():
            setting.add_option(parser)
        return parser

    def start_from(self, settings: Settings) -> None:
        """Takes what a command line and a file came to; what is set afterwards wins."""
        self._base, self._given, self._whole = settings, {}, settings

    def resolve(self) -> Settings:
        """All of them as the server takes them."""
        if self._whole is None:
            self._whole = self._put_together(self._given)
        return self._whole

    def _put_together(self, given: dict[str, Any]) -> Settings:
        if self._base is None:
            environ = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
            return CommandLine([], environ).settings(framework=given)
        base = self._base
        named = [name for name in _FACTS if base.origin(name) != "default"]
        kept = {name: getattr(base, name) for name in named}
        return CommandLine([], {}).settings(framework={**kept, **given})

    def _value(self, name: str) -> Any:
        """One setting in gunicorn's shape."""
        settings = self.resolve()
        facts = _FACTS.get(name)
        if facts is not None and facts["kind"] == "hook":
            return settings.hook(name) or _nothing
        value = getattr(settings, name)
        if name in _NETWORKS:
            return value.split(",") if value else []
        if name in ("user", "group"):
            return _identity(settings)[name == "group"]
        if name == "chdir":
            return value or os.getcwd()
        if name == "http_protocols":
            return value.split(",")
        if name == "logconfig_dict":
            return value or {}
        if name == "statsd_host":
            from oxicorn.statsd import parse_address

            return parse_address(value) if value else None
        return value

    def _networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(text) for text in self._value(name) if text != "*"]


class Setting:
    """One setting of a program."""

    def __init__(self, config: Config, name: str) -> None:
        facts = _FACTS[name]
        self.name = name
        self.section = str(facts["section"])
        """The part of the reference that has it."""
        self.cli: list[str] | None = facts["flags"] or None
        """Its options on the command line."""
        self.meta = str(facts["meta"]) or None
        self.default = str(facts["default"])
        """Its default as the reference says it."""
        self.short = str(facts["short"])
        self.desc = str(facts["long"])
        self._kind = str(facts["kind"])
        self._config = config

    @property
    def value(self) -> Any:
        """Its value."""
        return self.get()

    def get(self) -> Any:
        """Its value."""
        return self._config._value(self.name)

    def set(self, value: Any) -> None:
        """Sets it."""
        self._config.set(self.name, value)

    def add_option(self, parser: argparse.ArgumentParser) -> None:
        """Lets a command line name it, if it can."""
        if self.cli is None:
            return
        options: dict[str, Any] = {"dest": self.name, "help": self.short.replace("%", "%%")}
        if self._kind in ("on", "off"):
            options |= {"action": "store_const", "const": self._kind == "on"}
        else:
            options["metavar"] = self.meta
            if self._kind == "list":
                options["action"] = "append"
        parser.add_argument(*self.cli, **options)


class _Entries(Mapping[str, Setting]):
    """The settings by name."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __getitem__(self, name: str) -> Setting:
        if name not in _FACTS:
            raise KeyError(name)
        return Setting(self._config, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_FACTS)

    def __len__(self) -> int:
        return len(_FACTS)


def _identity(settings: Settings) -> tuple[int, int]:
    user, group = settings.user, settings.group
    if not (user or group):
        return os.geteuid(), os.getegid()
    return _oxicorn.find_identity(user, group)


def _parsed(text: str) -> tuple[str, int] | str | int:
    if text.startswith("unix:"):
        return text.removeprefix("unix:").removeprefix("//")
    if text.startswith("fd://"):
        return int(text.removeprefix("fd://"))
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _nothing(*args: object) -> None:
    """A hook that nobody wrote."""
