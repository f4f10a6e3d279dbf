"""`cfg` of a program that embeds the server: settings that are set one by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from oxicorn._oxicorn import CommandLine, Settings, setting_names

# What gives defaults; the rest of the environment belongs to the command line.
_VARIABLES = ("FORWARDED_ALLOW_IPS", "PORT", "SENDFILE", "WEB_CONCURRENCY")


class Config:
    """The settings of a program, each an attribute of its name."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.settings = _Entries(self)
        """The settings by name."""
        self._base: Settings | None = None
        self._given: dict[str, Any] = {}
        self._whole: Settings | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.resolve(), name)

    def __str__(self) -> str:
        return "\n".join(self.resolve().listing())

    def set(self, name: str, value: Any) -> None:
        """Sets one; the last word wins. Raises `SettingError` if the value does not fit."""
        if name not in self.settings:
            raise AttributeError(f"no setting `{name}`")
        given = {**self._given, name: value}
        self._whole = self._put_together(given)
        self._given = given

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
        named = [name for name in setting_names() if base.origin(name) != "default"]
        kept = {name: getattr(base, name) for name in named}
        return CommandLine([], {}).settings(framework={**kept, **given})


class Setting:
    """One setting of a program."""

    def __init__(self, config: Config, name: str) -> None:
        self.name = name
        self._config = config

    @property
    def value(self) -> Any:
        """Its value."""
        return self.get()

    def get(self) -> Any:
        """Its value."""
        return getattr(self._config.resolve(), self.name)

    def set(self, value: Any) -> None:
        """Sets it."""
        self._config.set(self.name, value)


class _Entries(Mapping[str, Setting]):
    """The settings by name."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._names = dict.fromkeys(setting_names())

    def __getitem__(self, name: str) -> Setting:
        if name not in self._names:
            raise KeyError(name)
        return Setting(self._config, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
