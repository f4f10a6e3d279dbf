"""uWSGI's conditions and loops, as they come out here and now."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from oxicorn.migrate.uwsgi_option import Option

__all__ = ["CONDITIONS", "LOOPS", "unrolled"]

LOOPS = ("for", "for-glob", "for-times")
_TESTS = ("env", "exists", "file", "dir", "directory", "opt", "hostname", "uid", "gid", "reload")
CONDITIONS = tuple(f"if-{negation}{test}" for negation in ("", "not-") for test in _TESTS)
# uWSGI takes any of them for either.
_ENDS = ("endif", "endfor", "end-if", "end-for", "end")


def unrolled(
    options: Iterable[Option], fill: Callable[[str], str], environ: Mapping[str, str]
) -> Iterator[Option]:
    """The options without blocks: those of a condition that holds, and those of a loop each time.

    `fill` puts values in the place of placeholders. In a block `%(_)` is what it is about. The head
    of a condition, and of a loop over files, stays as an option that says how it was decided.
    """
    waiting = iter(options)
    seen: dict[str, str] = {}
    for option in waiting:
        name = option.name
        if name not in LOOPS and name not in CONDITIONS:
            seen[name] = option.value
            yield option
            continue
        block = []
        for inner in waiting:
            if inner.name in _ENDS:
                break
            block.append(inner)
        value = fill(option.value)
        if name in LOOPS:
            items = _items(name, value)
            if name == "for-glob":
                yield option._replace(decision=f"it finds {len(items)} here")
        else:
            items = _holds(name, value, seen, environ)
            holds = "holds here and now: its lines are taken"
            fails = "does not hold here and now: its lines are left out"
            yield option._replace(decision=f"`{value}` {holds if items else fails}")
        for item in items:
            for inner in block:
                seen[inner.name] = inner.value
                yield inner._replace(value=inner.value.replace("%(_)", item))


def _items(loop: str, value: str) -> list[str]:
    """What a loop goes through."""
    if loop == "for":
        return value.split()
    if loop == "for-glob":
        return sorted(glob.glob(value))
    return [str(number) for number in range(1, 1 + (int(value) if value.isdigit() else 0))]


def _holds(
    condition: str, value: str, seen: Mapping[str, str], environ: Mapping[str, str]
) -> list[str]:
    """What `%(_)` is inside if the condition holds; nothing otherwise."""
    test = condition.removeprefix("if-")
    is_negated = test.startswith("not-")
    test = test.removeprefix("not-")
    found: str | None = None
    if test in ("env", "opt"):
        name, has_value, wanted = value.partition("=")
        found = (environ if test == "env" else seen).get(name.strip())
        if has_value and found != wanted.strip():
            found = None
    elif test in ("exists", "file", "dir", "directory"):
        path = Path(value)
        is_there = {"exists": path.exists, "file": path.is_file}.get(test, path.is_dir)
        found = value if is_there() else None
    elif test != "reload":
        there = {"hostname": socket.gethostname(), "uid": str(os.getuid())}
        found = value if value == there.get(test, str(os.getgid())) else None
    if is_negated:
        return [value] if found is None else []
    return [] if found is None else [found]
