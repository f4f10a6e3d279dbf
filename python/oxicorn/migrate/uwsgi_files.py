"""uWSGI's files of options: repeated names, placeholders, inclusion."""

from __future__ import annotations

import grp
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from oxicorn.errors import Error
from oxicorn.migrate import uwsgi_forms as forms
from oxicorn.migrate.uwsgi_blocks import unrolled
from oxicorn.migrate.uwsgi_option import Option
from oxicorn.migrate.uwsgi_options import find

__all__ = ["read"]

_PLACEHOLDERS = ("set", "set-ph", "set-placeholder")
# What includes another file, and the form that it says; none: by its name.
_INCLUDES = {
    "include": "",
    "inherit": "",
    "ini": "ini",
    "xml": "xml",
    "xmlconfig": "xml",
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
}
# Their values have placeholders of another kind, filled in for each request.
_FORMATS = ("log-format", "logformat", "log-encoder", "log-req-encoder")


def read(path: str, form: str, section: str, environ: Mapping[str, str]) -> list[Option]:
    """The options of a file, with those of the files that it includes, conditions and loops
    followed, and placeholders filled in.

    Raises `Error`.
    """
    options = list(_read(path, form, section, depth=0))
    if not options:
        named = f"[{section}]" if form == "ini" else f"`{section}`"
        raise Error(f"migrate: {path} has no section {named}, or nothing in it")
    written = _Filler(path, options, environ)
    options = list(unrolled(options, written.text, environ))
    fill = _Filler(path, options, environ)
    filled = [fill(option) for option in options if option.name not in _PLACEHOLDERS]
    # `%(x)` may stand for any name that is set, so a file may use names of its own.
    return [option for option in filled if option.name not in fill.own_names]


def _read(path: str, form: str, section: str, depth: int) -> Iterator[Option]:
    try:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise Error(f"migrate: cannot read {path}: {error.strerror}") from None
    if depth > 10:
        raise Error(f"migrate: {path} is included again and again")
    for name, value, number in forms.read(form, path, text, section):
        if name not in _INCLUDES or "%" in value:
            yield Option(name, value, f"{path}:{number}" if number else path)
        elif value.startswith(":"):
            yield from _read(path, form, value[1:], depth + 1)
        else:
            other = str(Path(path).parent / value)
            inner = "uwsgi"
            if not Path(other).is_file() and ":" in value:
                other, _, inner = other.rpartition(":")
            own = forms.form_of(other) if name in ("include", "inherit") else _INCLUDES[name]
            yield from _read(other, own, inner, depth + 1)


class _Filler:
    """Puts values in the place of placeholders."""

    def __init__(self, path: str, options: list[Option], environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._named: dict[str, str] = {}
        for option in options:
            if option.name in _PLACEHOLDERS:
                name, _, value = option.value.partition("=")
                self._named[name.strip()] = value.strip()
            else:
                self._named[option.name] = option.value
        used = {name for each in options for name in re.findall(r"%\(([^)]+)\)", each.value)}
        self.own_names = {name for name in used if find(name) is None}
        self._letters = _letters(os.path.realpath(path))

    def __call__(self, option: Option) -> Option:
        unknown: list[str] = []
        variables: list[str] = []
        value = self._fill(option.value, unknown, variables, 0)
        if option.name in _FORMATS:
            unknown.clear()
        return option._replace(value=value, unknown=tuple(unknown), variables=tuple(variables))

    def text(self, text: str) -> str:
        """The text with what is known filled in."""
        return self._fill(text, [], [], 0)

    def _fill(self, text: str, unknown: list[str], variables: list[str], depth: int) -> str:
        def variable(match: re.Match[str]) -> str:
            value = self._environ.get(match[1])
            if value is None:
                unknown.append(match[0])
                return match[0]
            variables.append(match[0])
            return value

        def placeholder(match: re.Match[str]) -> str:
            if match[1] is not None:
                named = self._named.get(match[1])
                if named is not None and depth < 10:
                    return self._fill(named, unknown, variables, depth + 1)
                unknown.append(match[0])
                return match[0]
            if match[2] == "%":
                return "%"
            if match[2] not in self._letters:
                unknown.append(match[0])
                return match[0]
            return self._letters[match[2]]

        text = re.sub(r"\$\((\w+)\)", variable, text)
        return re.sub(r"%(?:\(([^)]+)\)|([a-zA-Z0-9%]))", placeholder, text)


def _letters(path: str) -> dict[str, str]:
    """What `%d` and its like stand for in this file; `%d` ends with a slash."""
    folder, name = os.path.split(path)
    stem, _, extension = name.rpartition(".")
    parts = [part for part in folder.split("/") if part]
    letters = {
        "p": path,
        "s": name,
        "d": f"{folder.rstrip('/')}/",
        "c": parts[-1] if parts else "",
        "e": extension if stem else "",
        "n": stem or name,
        "o": path,
        "h": socket.gethostname(),
        "v": str(Path.cwd()),
        "k": str(os.cpu_count() or 1),
        "u": str(os.getuid()),
        "U": _or_number(lambda: pwd.getpwuid(os.getuid()).pw_name, os.getuid()),
        "g": str(os.getgid()),
        "G": _or_number(lambda: grp.getgrgid(os.getgid()).gr_name, os.getgid()),
    }
    for number, part in enumerate(parts[:10]):
        letters[str(number)] = part
    return letters


def _or_number(name: Callable[[], str], number: int) -> str:
    try:
        return name()
    except KeyError:
        return str(number)
