"""The access log of NGINX Unit: its variables, as atoms of `access_log_format`."""

from __future__ import annotations

import re

__all__ = ["translate"]

_ATOMS = {
    "body_bytes_sent": "%(b)s",
    "header_referer": "%(f)s",
    "header_user_agent": "%(a)s",
    "host": "%({host}i)s",
    "method": "%(m)s",
    "remote_addr": "%(h)s",
    "request_id": "%({request_id}x)s",
    "request_line": "%(r)s",
    "request_time": "%(L)s",
    "request_uri": "%({raw_uri}e)s",
    "response_connection": "%({connection}o)s",
    "response_content_length": "%({content-length}o)s",
    "response_transfer_encoding": "%({transfer-encoding}o)s",
    "status": "%(s)s",
    "time_local": "%(t)s",
    "uri": "%(U)s",
}
_PREFIXES = {"header_": "i", "response_header_": "o"}


def translate(text: str) -> tuple[str, list[str]]:
    """The format with the same fields, and the variables that have no equivalent."""
    missing: list[str] = []

    def atom(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        if name is None:
            return "%%"
        if name == "dollar":
            return "$"
        if name in _ATOMS:
            return _ATOMS[name]
        for prefix, kind in _PREFIXES.items():
            if name.startswith(prefix):
                return f"%({{{name.removeprefix(prefix).replace('_', '-')}}}{kind})s"
        missing.append(f"${name}")
        return "-"

    # The atom brings its own brackets.
    text = re.sub(r"\[\$(?:time_local|\{time_local\})\]", "$time_local", text)
    return re.sub(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))|%", atom, text), missing
