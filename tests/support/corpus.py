"""The corpus of wire cases: what corpus/README.md describes, as Python sees it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CORPUS = Path(__file__).resolve().parent.parent.parent / "corpus"
_ESCAPE = re.compile(rb"\\(?:r|n|t|\\|x([0-9A-Fa-f]{2}))")
_PLAIN = {b"\\r": b"\r", b"\\n": b"\n", b"\\t": b"\t", b"\\\\": b"\\"}


@dataclass(frozen=True)
class Case:
    """One case: its bytes, and the facts of its sidecar."""

    name: str
    """Path inside the corpus without suffix: `reject/second-host`."""
    data: bytes
    facts: dict[str, Any]


def unescape(text: bytes) -> bytes:
    """The bytes that a `.http` file stands for."""
    text = text.replace(b"\n", b"")
    stray = re.sub(_ESCAPE, b"", text).find(b"\\")
    assert stray < 0, "an escape that is not known"
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else _PLAIN[m[0]], text)


def case(name: str) -> Case:
    """The case of this name."""
    path = CORPUS / f"{name}.http"
    facts = tomllib.loads(path.with_suffix(".toml").read_text())
    return Case(name, unescape(path.read_bytes()), facts)


def cases(folder: str) -> list[Case]:
    """Every case of a folder, sorted by name."""
    paths = sorted((CORPUS / folder).glob("*.http"))
    return [case(f"{folder}/{path.stem}") for path in paths]
