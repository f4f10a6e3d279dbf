"""Loads the application that a text such as `shop.wsgi:app` names."""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from oxicorn.config_file import name_is_missing
from oxicorn.errors import AppImportError

__all__ = ["load", "load_for"]

DEFAULT_NAMES = ("application", "app")


def load(spec: str) -> Callable[..., Any]:
    """Imports the application.

    `module`, `module:name`, `module:object.attribute` or `module:factory("text", debug=True)`;
    without a name, `application` and then `app` are tried. Raises `AppImportError` with exit code
    3 if the module cannot be imported, and 4 if the name in it is wrong.
    """
    name, _, expression = spec.partition(":")
    _refuse_paths(spec, name)
    module = _import(name)
    if not expression:
        return _checked(_default(module), spec)
    target, call = _parse(expression)
    found = _attribute(module, target)
    if call is not None:
        found = _call(found, target, call)
    return _checked(found, spec)


def load_for(settings: Any, directory: Path) -> Callable[..., Any]:
    """What the settings name; a PasteDeploy file belongs to the directory of the start."""
    if settings.paste is None:
        return load(settings.wsgi_app)
    from oxicorn.app import pasterapp

    uri = settings.paste if ":" in settings.paste else str(directory / settings.paste)
    pairs = pasterapp.global_conf(settings.raw_paste_global_conf)
    try:
        return _checked(pasterapp.get_wsgi_app(uri, defaults=pairs), settings.paste)
    except AppImportError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(f"cannot load {settings.paste!r}", error) from None


def _refuse_paths(spec: str, name: str) -> None:
    if "/" in name or name.endswith(".py"):
        path = name.removesuffix(".py")
        path = path.removeprefix("./").strip("/").replace("/", ".")
        hint = f"{path}{spec[len(name) :] or ':app'}"
        raise AppImportError(
            f"{name!r} is a file, not the name of a module; try `oxicorn {hint}`", 3
        )
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise AppImportError(f"{spec!r} names no module; usage: oxicorn [options] module:app", 3)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name_is_missing(name, error):
            raise AppImportError(
                f"cannot import {name!r} ({error}); current directory is {Path.cwd()}", 3
            ) from None
        raise _failed(f"cannot import {name!r}", error) from None
    except (Exception, SystemExit) as error:
        raise _failed(f"cannot import {name!r}", error) from None


def _failed(doing: str, error: BaseException, exit_code: int = 3) -> AppImportError:
    """The error with a traceback that begins in the application's own code."""
    place = error.__traceback__
    while place is not None and _is_ours(place.tb_frame.f_code.co_filename):
        place = place.tb_next
    lines = traceback.format_exception(type(error), error, place)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(place)]
    if isinstance(error, SyntaxError) and error.filename:
        files.append(error.filename)
    return AppImportError(f"{doing} ({what})", exit_code, "".join(lines), files)


def _is_ours(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _default(module: ModuleType) -> object:
    for name in DEFAULT_NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    raise AppImportError(
        f"module {module.__name__!r} has neither `application` nor `app`{_candidates(module)}", 4
    )


def _candidates(module: ModuleType) -> str:
    """The callables that the module itself made, for the end of a message."""
    names = [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and not isinstance(value, type)
        and (not isinstance(value, FunctionType) or value.__module__ == module.__name__)
    ]
    if not names:
        return ", and no other callable"
    return f"; its callables are: {', '.join(names[:8])}"


def _parse(expression: str) -> tuple[str, ast.Call | None]:
    """The dotted name in an expression, and the call with its arguments if it is one."""
    try:
        node: ast.expr = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise AppImportError(
            f'{expression!r} is neither a name nor a call such as `create_app("text")`', 4
        ) from None
    call = node if isinstance(node, ast.Call) else None
    parts: list[str] = []
    inner = node.func if isinstance(node, ast.Call) else node
    while isinstance(inner, ast.Attribute):
        parts.insert(0, inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        raise AppImportError(
            f'{expression!r} is neither a name nor a call such as `create_app("text")`', 4
        )
    return ".".join([inner.id, *parts]), call


def _attribute(module: ModuleType, dotted: str) -> object:
    found: object = module
    where = f"module {module.__name__!r}"
    for part in dotted.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(found), 1)
            if near:
                hint = f"; did you mean `{near[0]}`?"
            elif found is module:
                hint = _candidates(module)
            else:
                hint = ""
            raise AppImportError(f"{where} has no attribute {part!r}{hint}", 4) from None
        where = f"{part!r}"
    return found


def _call(factory: object, name: str, call: ast.Call) -> object:
    try:
        args = [ast.literal_eval(arg) for arg in call.args]
        kwargs = {str(kw.arg): ast.literal_eval(kw.value) for kw in call.keywords if kw.arg}
    except ValueError:
        raise AppImportError(
            f"the arguments of {name!r} must be plain values such as texts and numbers", 4
        ) from None
    if len(kwargs) != len(call.keywords):
        raise AppImportError(f"the arguments of {name!r} cannot be unpacked with `**`", 4)
    if not callable(factory):
        raise AppImportError(f"{name!r} cannot be called; leave out the parentheses", 4)
    try:
        return factory(*args, **kwargs)
    except (Exception, SystemExit) as error:
        raise _failed(f"{name!r} failed", error, 4) from None


def _checked(found: object, spec: str) -> Callable[..., Any]:
    if callable(found):
        return found
    what = "None" if found is None else f"of type {type(found).__name__!r}, which is not callable"
    raise AppImportError(f"the application {spec!r} is {what}", 4)


def prepare_path(pythonpath: str | None) -> None:
    """Puts the current directory first on `sys.path`, and each entry of `pythonpath` before what
    there is, as gunicorn does."""
    entries = [entry.strip() for entry in (pythonpath or "").split(",")]
    paths = [str(Path(entry).absolute()) for entry in entries if entry]
    for path in [str(Path.cwd()), *paths]:
        put_first(path)


def put_first(path: str) -> None:
    """Has modules looked for in this directory before all others."""
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
