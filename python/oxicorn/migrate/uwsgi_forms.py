"""The forms that uWSGI's options are written in: ini, XML, YAML, JSON, each to the same lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

from oxicorn.errors import Error

__all__ = ["Line", "form_of", "read"]

_SUFFIXES = {".xml": "xml", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".js": "json"}


class Line(NamedTuple):
    """One option, as it is written."""

    name: str
    value: str
    """Empty if the name stands alone."""
    number: int
    """The line of the file; 0 if the form does not tell."""


def form_of(path: str) -> str:
    """What a file of this name holds."""
    return _SUFFIXES.get(Path(path).suffix, "ini")


def read(form: str, path: str, text: str, section: str) -> Iterator[Line]:
    """The options of a section, in their order. Raises `Error`."""
    readers = {"ini": _ini, "xml": _xml, "yaml": _yaml, "json": _json}
    for line in readers[form](path, text, section):
        yield line._replace(name=line.name.replace("_", "-").removeprefix("--"))


def _ini(path: str, text: str, section: str) -> Iterator[Line]:
    here = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            here = line.strip("[]").strip()
        elif here == section:
            name, _, value = (part.strip() for part in line.partition("="))
            yield Line(name, value, number)


def _xml(path: str, text: str, section: str) -> Iterator[Line]:
    """Options are elements of `uwsgi`; a section is one with that `id`."""
    found: list[Line] = []
    inside: list[str] = []
    words: list[str] = []
    parser = expat.ParserCreate()
    began = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal began
        words.clear()
        if inside or (name == "uwsgi" and attributes.get("id", "uwsgi") == section):
            inside.append(name)
        began = parser.CurrentLineNumber

    def end(name: str) -> None:
        if len(inside) == 2:
            found.append(Line(name, "".join(words).strip(), began))
        if inside:
            inside.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = words.append
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise Error(f"migrate: {path} is no XML: {error}") from None
    yield from found


def _yaml(path: str, text: str, section: str) -> Iterator[Line]:
    """The part of YAML that such files use: scalars and lists of them, one level deep."""
    here = ""
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = _without_comment(line).strip()
        if not stripped or stripped in ("---", "..."):
            continue
        if line[0] not in " \t-":
            here, name = stripped.removesuffix(":").strip("'\" "), ""
            continue
        if here != section:
            continue
        if stripped.startswith("- ") and name:
            yield Line(name, _scalar(path, stripped[2:], number), number)
            continue
        key, colon, value = stripped.partition(":")
        if not colon or (value and value[0] not in " \t"):
            raise Error(f"migrate: {path}:{number}: expected `name: value`, got `{stripped}`")
        name = key.strip().strip("'\"")
        value = value.strip()
        if value.startswith("[") and value.endswith("]"):
            for item in filter(None, (item.strip() for item in value[1:-1].split(","))):
                yield Line(name, _scalar(path, item, number), number)
        elif value:
            yield Line(name, _scalar(path, value, number), number)


def _without_comment(line: str) -> str:
    """A `#` begins one after white space, and not inside quotes."""
    quoted = re.match(r"""([^'"#]*(?:"[^"]*"|'[^']*'))*[^'"#]*""", line)
    begin = quoted.end() if quoted else 0
    found = re.search(r"(^|\s)#", line[begin - 1 if begin else 0 :])
    return line if found is None else line[: max(begin - 1, 0) + found.start()]


def _scalar(path: str, text: str, number: int) -> str:
    text = text.strip()
    if text[:1] in ("'", '"'):
        if len(text) < 2 or text[-1] != text[0]:
            raise Error(f"migrate: {path}:{number}: a quote is not closed")
        return text[1:-1]
    if text[:1] in ("&", "*", "{", "|", ">", "!"):
        raise Error(f"migrate: {path}:{number}: `{text}` is more YAML than uWSGI's options need")
    return text


def _json(path: str, text: str, section: str) -> Iterator[Line]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Error(f"migrate: {path} is no JSON: {error}") from None
    options = document.get(section) if isinstance(document, dict) else None
    if not isinstance(options, dict):
        return
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            yield Line(name, _text(path, name, each), 0)


def _text(path: str, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise Error(f"migrate: {path}: {name} is neither a text nor a list of texts")
    return str(value)
