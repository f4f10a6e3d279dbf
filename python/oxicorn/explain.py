"""`oxicorn explain-proxy`: what the configuration would believe of a request, and why."""

from __future__ import annotations

from collections.abc import Sequence

from oxicorn import config_file
from oxicorn._oxicorn import CommandLine, explain_proxy
from oxicorn.errors import Error

__all__ = ["explain"]

USAGE = """usage: oxicorn explain-proxy --peer ADDRESS [-H 'NAME: VALUE']... [--line TEXT] [options]

Prints, step by step, what the configuration would believe of a request.

  --peer ADDRESS      the other end of the connection: an IP address, or unix:
  -H 'NAME: VALUE'    a field of the request; repeatable
  --line TEXT         the PROXY header of the connection, without its line end
  options             those of the server: -c FILE, --proxy-trusted NETWORK, ...
"""


def explain(argv: Sequence[str], environ: dict[str, str]) -> int:
    """Prints the steps; `argv` is what follows `explain-proxy`."""
    peer, header = None, None
    fields: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, separator, text = word.partition("=")
        if word in ("-h", "--help"):
            print(USAGE, end="")
            return 0
        if name not in ("--peer", "--line", "-H"):
            rest.append(word)
            continue
        if not separator or name == "-H":
            text = next(words, "")
        if name == "--peer":
            peer = text
        elif name == "--line":
            header = text.encode("latin-1", "replace") + b"\r\n"
        else:
            fields.append(text)
    if peer is None:
        raise Error("explain-proxy: --peer ADDRESS is missing", 2)
    if any("\r" in field or "\n" in field for field in fields):
        raise Error("explain-proxy: a field cannot have a line end", 2)

    command = CommandLine(rest, environ)
    location = command.config or config_file.find()[0]
    if location is None:
        settings = command.settings()
    else:
        file = config_file.load(location)
        settings = command.settings(file.path, file.names, file.lines)
    try:
        steps = explain_proxy(settings, peer, fields, header)
    except ValueError as error:
        raise Error(f"explain-proxy: {error}", 2) from None
    for warning in settings.warnings:
        print(f"hint: {warning}")
    print("\n".join(steps))
    return 0
