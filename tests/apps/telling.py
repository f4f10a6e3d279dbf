"""How the programs that compare two libraries tell what happens in them."""

from __future__ import annotations


def say(*what):
    print(*what, flush=True)


def outcome(function, *args, **given):
    """What it gives, or the class of what it raises."""
    try:
        return function(*args, **given)
    except BaseException as error:
        return type(error).__name__
