"""From gunicorn: the same names, so that only what cannot be in TOML needs thought."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oxicorn import config_file
from oxicorn._oxicorn import CommandLine, setting_names
from oxicorn.migrate.plan import Plan, Verdict, default

__all__ = ["from_command", "is_here"]

DEFAULT_FILE = "gunicorn.conf.py"
VARIABLE = "GUNICORN_CMD_ARGS"

# The module that the comments propose for what has to stay in Python.
_MODULE = "server_hooks"

_NOT_KEPT = ("config", "check_config", "print_config")

# What means something else here; the guide has the reasons.
REMARKS = {
    "keepalive": "counts in every worker class here; keep it above the idle time of a proxy in "
    "front, or leave it out for 75 s",
    "reuse_port": "the workers share one socket here, which spreads the load by itself",
    "threads": "waiting for clients takes no thread here, so fewer may do",
}


# Whose defaults are others.
DEFAULTS = ("keepalive", "limit_request_line", "limit_request_body")


def is_here(environ: Mapping[str, str]) -> bool:
    """Whether gunicorn, started here without arguments, would find settings."""
    return Path(DEFAULT_FILE).is_file() or bool(environ.get(VARIABLE, "").strip())


def from_command(words: list[str], environ: Mapping[str, str]) -> Plan:
    """What `gunicorn WORDS` would use: its settings file, the variable, the words.

    Raises `SettingError` for a wrong command line and `ConfigFileError` for a wrong file.
    """
    command = CommandLine(words, {VARIABLE: environ.get(VARIABLE, "")})
    location = command.config
    if location is None and Path(DEFAULT_FILE).is_file():
        location = DEFAULT_FILE
    plan = Plan(_source(location, words, environ))
    computed = _read_file(plan, location) if location is not None else []
    for name, value, origin in command.given():
        if name not in _NOT_KEPT:
            plan.set(name, value, "" if origin == "command line" else origin)
    for name, origin, expression in computed:
        if plan.comment(name) == origin:
            plan.note(Verdict.DIFFERS, f"{name} ({origin})", _frozen(name, expression))
    for name, remark in REMARKS.items():
        if name in plan:
            plan.note(Verdict.DIFFERS, name, remark)
    unset = [f"{name} = {default(name)}" for name in DEFAULTS if name not in plan]
    plan.note(
        Verdict.DIFFERS,
        "defaults",
        f"those of oxicorn are others: {', '.join(unset)}; "
        "docs/guides/from-gunicorn.md lists what else is different on purpose",
    )
    return plan


def _source(location: str | None, words: list[str], environ: Mapping[str, str]) -> str:
    parts = []
    if location is not None:
        parts.append(location)
    if environ.get(VARIABLE, "").strip():
        parts.append(f"${VARIABLE}")
    if words and words != ["-c", location]:
        parts.append("the command line")
    return " and ".join(parts) if parts else "gunicorn's defaults"


def _read_file(plan: Plan, location: str) -> list[tuple[str, str, str]]:
    """Takes in the file; gives the settings that it computes, with place and expression."""
    # What the file prints is no part of what is printed here.
    with contextlib.redirect_stdout(sys.stderr):
        file = config_file.load(location)
    for note in file.notes:
        plan.note(Verdict.DIFFERS, location, note)
    tree = _tree(location)
    known = frozenset(setting_names())
    in_python: list[tuple[str, str]] = []
    computed: list[tuple[str, str, str]] = []
    for name, value in file.names.items():
        if name in _NOT_KEPT or value is None:
            continue
        if name not in known:
            for warning in CommandLine([], {}).settings(location, {name: value}, {}).warnings:
                text = warning.replace(f" ({location})", "")
                plan.note(Verdict.DIFFERS, f"{location}:{file.lines.get(name, '?')}", text)
            continue
        line = file.lines.get(name)
        origin = f"{location}:{line}" if line else location
        if isinstance(value, type) and value.__module__ != "__config__":
            value = f"{value.__module__}.{value.__qualname__}"
        if callable(value):
            in_python.append((name, getattr(value, "__name__", name)))
            continue
        if plan.set(name, value, origin):
            expression = _computed(tree, name)
            if expression is not None:
                computed.append((name, origin, expression))
    if in_python:
        _keep_in_python(plan, in_python, location)
    for line, text in _statements(tree):
        plan.note(
            Verdict.DIFFERS,
            f"{location}:{line}",
            f"`{text}` is not a setting; if it is needed, move it to the module of the hooks, "
            "or keep this file: oxicorn takes it as it is",
        )
    return computed


def _frozen(name: str, expression: str) -> str:
    text = f"computed as `{expression}`; written here is what that gives now"
    if "environ" in expression or "getenv" in expression:
        text += f". The variable OXICORN_{name.upper()} overrides the file"
    return text


def _keep_in_python(plan: Plan, names: list[tuple[str, str]], location: str) -> None:
    """Callables: TOML names them, a module has them."""
    what = ", ".join(name for name, _ in names)
    plan.note(
        Verdict.DIFFERS,
        what,
        f"Python, which TOML can only name. Move it to a module, as {_MODULE}.py beside this file, "
        f"and take the `#` off the lines above; or keep {location}: oxicorn takes it as it is",
    )
    plan.appendix += ["", f"# With the functions in {_MODULE}.py:"]
    plan.appendix += [f'# {name} = "{_MODULE}.{function}"' for name, function in names]


def _tree(location: str) -> list[ast.stmt]:
    path = Path(location.removeprefix("file:"))
    if location.startswith("python:") or path.suffix == ".toml":
        return []
    return ast.parse(path.read_bytes()).body


def _computed(tree: list[ast.stmt], name: str) -> str | None:
    """The expression that gave the value, unless it is a plain one."""
    found: ast.expr | None = None
    for statement in tree:
        targets: list[Any] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, (ast.If, ast.For, ast.With, ast.Try, ast.While)):
            for node in ast.walk(statement):
                if isinstance(node, ast.Assign) and _binds(node.targets, name):
                    return f"{type(statement).__name__.lower()} … {ast.unparse(node)}"
        if _binds(targets, name):
            found = statement.value  # type: ignore[attr-defined]
    if found is None:
        return None
    try:
        ast.literal_eval(found)
    except (ValueError, TypeError, SyntaxError):
        text = ast.unparse(found)
        return text if len(text) <= 70 else text[:69] + "…"
    return None


def _binds(targets: list[Any], name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _statements(tree: list[ast.stmt]) -> list[tuple[int, str]]:
    """Calls at the top level, which are there for what they do."""
    found = []
    for statement in tree:
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            text = ast.unparse(statement)
            found.append((statement.lineno, text if len(text) <= 60 else text[:59] + "…"))
    return found
