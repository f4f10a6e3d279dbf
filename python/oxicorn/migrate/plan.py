"""What a migration found: settings that fit, and what the operator should know about the rest."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from oxicorn._oxicorn import CommandLine, SettingError, Settings, parse_toml, setting_names

__all__ = ["Plan", "Verdict", "default"]

FILE = "oxicorn.toml"

# Those that everybody writes in octal.
_MODES = ("umask",)


class Verdict(Enum):
    """What becomes of something that is not simply a setting."""

    DIFFERS = "Differs"
    MISSING = "Has no equivalent"
    NEEDLESS = "Is not needed"


@dataclass
class _Value:
    value: Any
    comment: str


class Plan:
    """The settings file to be, with its comments.

    Each value is tried on the table of settings when it comes in. What this version of oxicorn does
    not take is noted with the reason that the server itself would give, and left out.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        """What it is made from, as the operator named it."""
        self.program = "oxicorn"
        """How the server is to be started."""
        self.appendix: list[str] = []
        """Lines after the settings: those that have to be completed by hand."""
        self._values: dict[str, _Value] = {}
        self._notes: dict[Verdict, dict[str, str]] = {verdict: {} for verdict in Verdict}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        return self._values[name].value

    def comment(self, name: str) -> str:
        """What stands beside a setting; empty if it is not set."""
        return self._values[name].comment if name in self._values else ""

    def set(self, name: str, value: Any, comment: str = "") -> bool:
        """Takes in a setting; says whether it fits. A later value replaces an earlier one."""
        self._values.pop(name, None)
        try:
            settings = _resolve({name: value})
        except (SettingError, ValueError) as error:
            problem = str(error).removesuffix(f" ({FILE})").removeprefix(f"{name}: ")
            self.note(Verdict.MISSING, _what(name, comment), problem)
            return False
        for warning in settings.warnings:
            text = warning.removesuffix(f" ({FILE})").removeprefix(f"{name}: ")
            if text.startswith("has no effect"):
                self.note(Verdict.NEEDLESS, _what(name, comment), text)
                return False
        if isinstance(value, str) or name == "bind":
            # As the server understands it: a number is written as one.
            value = getattr(settings, name)
        if value is None:
            return False
        self._values[name] = _Value(value, comment)
        return True

    def add(self, name: str, item: str, comment: str = "") -> None:
        """One item more for a list."""
        earlier = self._values.get(name)
        items = [*(earlier.value if earlier else []), item]
        comments = [earlier.comment] if earlier and earlier.comment else []
        if not self.set(name, items, ", ".join(dict.fromkeys([*comments, comment]))) and earlier:
            self._values[name] = earlier

    def note(self, verdict: Verdict, what: str, text: str) -> None:
        """Something to say."""
        self._notes[verdict][what] = text

    def noted(self, verdict: Verdict) -> list[str]:
        """One line for each thing of this kind."""
        return [f"{what}: {text}" for what, text in self._notes[verdict].items()]

    def check(self) -> None:
        """Tries all values together; raises `SettingError` where they contradict each other."""
        for warning in _resolve({name: each.value for name, each in self._values.items()}).warnings:
            what, _, text = warning.removesuffix(f" ({FILE})").partition(": ")
            self.note(Verdict.DIFFERS, what, text)

    def render(self) -> str:
        """The text of the file."""
        lines = [
            f"# Made from {self.source} by `oxicorn migrate`.",
            f"# Save it as {FILE}, and start: {self.program} -c {FILE}",
            "",
        ]
        names = ["wsgi_app", *(name for name in setting_names() if name != "wsgi_app")]
        values = {name: self._values[name] for name in names if name in self._values}
        lines += _document(values, self.appendix)
        for verdict in Verdict:
            if self._notes[verdict]:
                lines += ["", f"# {verdict.value}:"]
            for note in self.noted(verdict):
                lines += textwrap.wrap(
                    note,
                    100,
                    initial_indent="# - ",
                    subsequent_indent="#   ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
        return "\n".join(lines) + "\n"


def default(name: str) -> Any:
    """The value of a setting that nobody sets."""
    return getattr(CommandLine([], {}).settings(), name)


def _what(name: str, comment: str) -> str:
    return f"{name} ({comment})" if comment else name


def _resolve(values: Mapping[str, Any]) -> Settings:
    lines = _document({name: _Value(value, "") for name, value in values.items()}, [])
    return CommandLine([], {}).settings(FILE, parse_toml("\n".join(lines)), {})


def _document(values: Mapping[str, _Value], appendix: Sequence[str]) -> list[str]:
    """All values as lines; the appendix stands before the tables, which would take it in."""
    lines = []
    for name, each in values.items():
        if not isinstance(each.value, dict):
            comment = f"  # {each.comment}" if each.comment else ""
            lines.append(f"{_pair(name, each.value)}{comment}")
    lines += appendix
    for name, each in values.items():
        if isinstance(each.value, dict):
            lines += ["", *([f"# {each.comment}"] if each.comment else [])]
            lines += _table(name, each.value)
    return lines


def _pair(name: str, value: Any) -> str:
    written = f"0o{value:03o}" if name in _MODES and isinstance(value, int) else toml(value)
    return f"{name} = {written}"


def _table(name: str, rows: Mapping[Any, Any]) -> list[str]:
    """A dictionary as a table, and those inside it as tables of their own."""
    lines = [f"[{name}]"]
    lines += [f"{_key(k)} = {toml(v)}" for k, v in rows.items() if not _is_table(v)]
    for key, value in rows.items():
        if _is_table(value):
            lines += _table(f"{name}.{_key(key)}", value)
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"TOML has no key {key!r}")
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else toml(key)


def toml(value: object) -> str:
    """A value in TOML; `ValueError` if TOML has no way to write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # JSON's texts are TOML's, but for the one control character that JSON lets through.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return f"[{', '.join(map(toml, items))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(k)} = {toml(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise ValueError(f"TOML cannot hold {_shown(value)}; keep it in a settings file in Python")


def _shown(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else repr(value)
