"""`oxicorn migrate`: the settings of another server, written as oxicorn's."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from oxicorn._oxicorn import SettingError
from oxicorn.errors import Error
from oxicorn.migrate import gunicorn, unit, uwsgi, uwsgi_forms, waitress
from oxicorn.migrate.plan import Plan, Verdict

__all__ = ["migrate"]

USAGE = """usage: oxicorn migrate [--from KIND] [--application NAME] FILE
       oxicorn migrate COMMAND...

Prints the oxicorn.toml that does the same, and says in its comments what differs.

  FILE                a gunicorn.conf.py, uWSGI's options as ini, XML, YAML or JSON, or the
                      configuration of NGINX Unit in JSON
  COMMAND             as in a start script: gunicorn -w 4 app:app, waitress-serve --port=80 app:app,
                      or 'serve(app, port=80)'; GUNICORN_CMD_ARGS is read as gunicorn does
  --from KIND         gunicorn, uwsgi, waitress or unit, where the name does not tell
  --application NAME  which of the applications in a configuration of Unit
"""

KINDS = ("gunicorn", "uwsgi", "waitress", "unit")


def migrate(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Prints the file; `argv` is what follows `migrate`.

    What differs goes to standard error too, unless the comments are in sight.
    """
    words = list(argv)
    kind: str | None = None
    application: str | None = None
    while words and words[0].startswith("-"):
        name, separator, text = words.pop(0).partition("=")
        if name in ("-h", "--help"):
            print(USAGE, end="")
            return 0
        if name == "--" and not separator:
            break
        if name not in ("--from", "--application"):
            raise Error(f"migrate: unknown option `{name}`; `oxicorn migrate --help` lists them", 2)
        if not separator:
            if not words:
                raise Error(f"migrate: `{name}` needs a value", 2)
            text = words.pop(0)
        if name == "--from":
            kind = text
        else:
            application = text
    if kind is not None and kind not in KINDS:
        raise Error(f"migrate: --from: expected {', '.join(KINDS)}, got `{kind}`", 2)

    plan = _read(kind, words, dict(environ), application)
    try:
        plan.check()
    except SettingError as error:
        raise Error(f"migrate: {plan.source} contradicts itself: {error}") from None
    print(plan.render(), end="", flush=True)
    if not sys.stdout.isatty():
        for verdict in (Verdict.DIFFERS, Verdict.MISSING):
            for note in plan.noted(verdict):
                print(f"{verdict.value}: {note}", file=sys.stderr)
    return 0


def _read(
    kind: str | None, words: list[str], environ: dict[str, str], application: str | None
) -> Plan:
    """Finds out what is meant, and reads it."""
    if len(words) == 1 and not Path(words[0]).is_file() and " " in words[0].strip():
        # A whole command in one word, or a call.
        if kind in (None, "waitress") and waitress.is_call(words[0]):
            return waitress.from_python(words[0], "the call")
        words = _split(words[0])
    if kind is None and words and not Path(words[0]).is_file():
        kind, words = _program(words)
    if kind == "gunicorn" and not (len(words) == 1 and Path(words[0]).is_file()):
        return gunicorn.from_command(words, environ)
    if kind == "waitress" and not (len(words) == 1 and Path(words[0]).is_file()):
        return waitress.from_command(words)
    if not words:
        if kind is None and gunicorn.is_here(environ):
            return gunicorn.from_command([], environ)
        raise Error(f"migrate: no file given\n{USAGE.rstrip()}", 2)
    if len(words) > 1:
        raise Error(f"migrate: unexpected argument `{words[1]}`; one file at a time", 2)
    # uWSGI names a section of a file so.
    path, section = words[0], "uwsgi"
    if not Path(path).is_file() and ":" in path:
        path, _, section = path.rpartition(":")
    text = _text(path)
    kind = kind or _kind(path, text)
    readers: dict[str, Callable[[], Plan]] = {
        "gunicorn": lambda: gunicorn.from_command(["-c", path], environ),
        "uwsgi": lambda: uwsgi.from_file(path, _form(path, text), section, environ),
        "waitress": lambda: waitress.from_file(path, text),
        "unit": lambda: unit.from_json(text, path, application),
    }
    return readers[kind]()


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise Error("migrate: a quote is not closed in the command", 2) from None


def _program(words: list[str]) -> tuple[str | None, list[str]]:
    """Whose command line it is, and the arguments."""
    rest = words[1:] if words[0] == "exec" else words
    name = Path(rest[0]).name if rest else ""
    if name.startswith("python") and rest[1:2] == ["-m"] and len(rest) > 2:
        name, rest = rest[2], rest[2:]
    programs = {"gunicorn": "gunicorn", "waitress-serve": "waitress", "waitress": "waitress"}
    if name in programs:
        return programs[name], rest[1:]
    return None, words


def _text(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise Error(
            f"migrate: cannot read {path}: {error.strerror}; "
            "a command begins with gunicorn or waitress-serve"
        ) from None


def _form(path: str, text: str) -> str:
    """How uWSGI's options are written there, whatever the name of the file."""
    form = uwsgi_forms.form_of(path)
    if form != "ini":
        return form
    begins = {"<": "xml", "{": "json"}.get(text.lstrip()[:1])
    return begins or ("yaml" if re.search(r"^uwsgi:\s*$", text, re.MULTILINE) else form)


def _kind(path: str, text: str) -> str:
    """By name, and by what stands in it."""
    suffix = Path(path).suffix
    if suffix == ".py":
        return "waitress" if waitress.is_call(text) else "gunicorn"
    if suffix == ".json" or text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            document = json.loads(text)
            if isinstance(document, dict) and "uwsgi" in document:
                return "uwsgi"
        return "unit"
    lines = [line.strip().replace(" ", "") for line in text.splitlines()]
    if any(line.startswith("use=egg:waitress") for line in lines):
        return "waitress"
    if "[uwsgi]" in lines or "uwsgi:" in lines or suffix == ".uwsgi":
        return "uwsgi"
    if re.search(r"<uwsgi[\s>/]", text):
        return "uwsgi"
    if suffix == ".toml":
        raise Error(f"migrate: {path} is TOML already: oxicorn -c {path}")
    raise Error(
        f"migrate: cannot tell what {path} is; say `--from KIND` with one of {', '.join(KINDS)}", 2
    )
