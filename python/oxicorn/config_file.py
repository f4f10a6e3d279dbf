"""Finds and runs the settings file, and says what it sets where."""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import re
import stat
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from oxicorn import gunicorn_names
from oxicorn._oxicorn import parse_toml, setting_names
from oxicorn.errors import ConfigFileError

__all__ = ["ConfigFile", "find", "importing_from_here", "load"]

DEFAULTS = ("oxicorn.conf.py", "oxicorn.toml", "gunicorn.conf.py", "pyproject.toml")


class ConfigFile(NamedTuple):
    """What a settings file says."""

    path: str
    """The file as the operator knows it."""
    names: dict[str, object]
    """Its top-level names that are, or could be meant as, settings."""
    lines: dict[str, int]
    """The lines where they are bound."""
    notes: list[str]
    """What the operator should know about the file."""


def find() -> tuple[str | None, list[str]]:
    """The default settings file in the current directory, and notes about the choice."""
    found = [name for name in DEFAULTS if Path(name).is_file() and _is_ours(name)]
    notes = [f"{found[0]} is used, {other} is not read: both are here" for other in found[1:]]
    return (found[0] if found else None), notes


def _is_ours(name: str) -> bool:
    """Whether a file that others use too has settings of ours."""
    if name != "pyproject.toml":
        return True
    try:
        source = Path(name).read_text("utf-8", "replace")
    except OSError:
        return False
    # Mistakes in a file that does not speak of this program are none of its business.
    return re.search(r"^\s*\[\s*tool\s*\.\s*oxicorn\s*[].]", source, re.MULTILINE) is not None


def load(location: str) -> ConfigFile:
    """Runs the settings file at `PATH`, `file:PATH` or `python:MODULE`.

    It is run again at each call, as a reload needs it. Raises `ConfigFileError`.
    """
    if location.startswith("python:"):
        return _load_module(location, location.removeprefix("python:"))
    return _load_path(location.removeprefix("file:"))


def _load_path(path: str) -> ConfigFile:
    try:
        source = Path(path).read_bytes()
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise ConfigFileError(
            f"cannot read settings file {path}: {error.strerror}; "
            f"current directory is {_current_directory()}"
        ) from None
    notes = []
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        notes.append(f"settings file {path} can be written by others than its owner")
    if path.endswith(".toml"):
        return _load_toml(path, source.decode("utf-8", "replace"), notes)
    # A module of its own that others can import, as hooks of gunicorn's users expect.
    module = types.ModuleType("__config__")
    module.__file__ = os.path.realpath(path)
    sys.modules["__config__"] = module
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec")
        with gunicorn_names.importable() as said:
            exec(code, module.__dict__)
    except Exception as error:
        raise _failed(path, error) from None
    notes += said
    return ConfigFile(path, _names(module), dict(_lines(tree.body)), notes)


def _load_toml(path: str, source: str, notes: list[str]) -> ConfigFile:
    """The settings at the top of the file; in a pyproject.toml, those of `[tool.oxicorn]`."""
    try:
        names = parse_toml(source)
    except ValueError as error:
        raise ConfigFileError(f"settings file {path} is no TOML", details=str(error)) from None
    if Path(path).name == "pyproject.toml":
        tool = names.get("tool")
        table = tool.get("oxicorn", {}) if isinstance(tool, dict) else {}
        if not isinstance(table, dict):
            raise ConfigFileError(f"tool.oxicorn in settings file {path} is no table")
        names = table
    lines: dict[str, int] = {}
    for number, line in enumerate(source.splitlines(), 1):
        name = re.match(r"\s*(?:\[(?:tool\.oxicorn\.)?)?(\w+)\s*[]=.]", line)
        if name is not None and name[1] in names:
            lines.setdefault(name[1], number)
    return ConfigFile(path, names, lines, notes)


def _load_module(location: str, name: str) -> ConfigFile:
    try:
        loaded = sys.modules.get(name)
        with importing_from_here(), gunicorn_names.importable() as notes:
            module = importlib.reload(loaded) if loaded else importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and name_is_missing(name, error):
            raise ConfigFileError(
                f"cannot import settings module {name!r} ({error}); "
                f"current directory is {_current_directory()}"
            ) from None
        raise _failed(location, error) from None
    lines: dict[str, int] = {}
    if module.__file__ is not None and module.__file__.endswith(".py"):
        lines = dict(_lines(ast.parse(Path(module.__file__).read_bytes()).body))
    return ConfigFile(location, _names(module), lines, notes)


@contextlib.contextmanager
def importing_from_here() -> Iterator[None]:
    """While it lasts, modules of the current directory can be imported."""
    here = _current_directory()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def name_is_missing(name: str, error: ModuleNotFoundError) -> bool:
    """Whether the module `name` itself (or a package above it) is what is not there."""
    return error.name is not None and f"{name}.".startswith(f"{error.name}.")


def _failed(path: str, error: Exception) -> ConfigFileError:
    """The error with a traceback that begins in the operator's own code."""
    place = error.__traceback__
    while place is not None and _is_own_code(place.tb_frame.f_code.co_filename):
        place = place.tb_next
    lines = traceback.format_exception(type(error), error, place)
    what = f"{type(error).__name__}: {error}"
    return ConfigFileError(f"settings file {path} failed: {what}", details="".join(lines))


def _is_own_code(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib")


def _current_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "gone"


def _names(module: types.ModuleType) -> dict[str, object]:
    """The settings of a file, and the names that could be meant as some.

    What the file imports, and what is private or in capitals, is not meant as a setting unless it
    has the name of one.
    """
    known = frozenset(setting_names())
    return {
        name: value
        for name, value in vars(module).items()
        if not isinstance(value, types.ModuleType)
        and (name in known or _could_be_setting(module, name, value))
    }


def _could_be_setting(module: types.ModuleType, name: str, value: object) -> bool:
    if name.startswith("_") or name != name.lower() or isinstance(value, type):
        return False
    return not callable(value) or getattr(value, "__module__", None) == module.__name__


def _lines(statements: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    """The lines that bind names at the top level, also inside `if`, `for`, `with` and `try`."""
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name, statement.lineno
            continue
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                yield alias.asname or alias.name, statement.lineno
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, node.lineno
