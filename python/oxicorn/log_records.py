"""What log records become: lines of the server's own logs, JSON objects, atoms of access lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar

from oxicorn import _oxicorn

__all__ = [
    "AccessLogHandler",
    "ErrorLogHandler",
    "JsonAccessFormatter",
    "JsonFormatter",
    "RequestIdFilter",
    "SafeAtoms",
]

_current: ContextVar[Mapping[str, str] | None] = ContextVar("oxicorn request", default=None)
# What a record may know of the request that it is about.
ABOUT = ("request_id", "trace_id", "span_id")
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


class ErrorLogHandler(logging.Handler):
    """Writes to `errorlog`, which the engine has opened and opens again after rotation."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _oxicorn.write_error_line(self.format(record))
        except Exception:
            self.handleError(record)


class AccessLogHandler(logging.Handler):
    """The same for `accesslog`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _oxicorn.write_access_line(self.format(record))
        except Exception:
            self.handleError(record)


class JsonFormatter(logging.Formatter):
    """One JSON object for each message, as the error log has them with `log_format = "json"`.

    Attributes of the record that are among `request_id`, `trace_id` and `span_id` are keys too.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        stack = self.formatStack(record.stack_info) if record.stack_info else None
        found = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            "message": "\n".join(filter(None, (message, record.exc_text, stack))).rstrip(),
        }
        found |= {name: vars(record)[name] for name in ABOUT if vars(record).get(name, "-") != "-"}
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


class JsonAccessFormatter(logging.Formatter):
    """One JSON object for each line of the access log, as `log_format = "json"` has them."""

    def format(self, record: logging.LogRecord) -> str:
        atoms = record.args
        if not isinstance(atoms, Mapping):
            return super().format(record)
        target = str(atoms.get("{raw_uri}e") or "")
        found = {
            "time": _rfc3339(record.created),
            "pid": record.process,
            "client": atoms.get("h"),
            "method": atoms.get("m"),
            "path": target.partition("?")[0] or atoms.get("U"),
            "query": atoms.get("q"),
            "protocol": atoms.get("H"),
            "status": int(str(atoms.get("s") or 0)),
            "bytes": atoms.get("B") or 0,
            "duration_us": atoms.get("D"),
            "host": atoms.get("{host}i"),
            "referer": atoms.get("{referer}i"),
            "user_agent": atoms.get("{user-agent}i"),
        }
        found |= {name: atoms.get(f"{{{name}}}x") for name in ABOUT}
        known = {name: value for name, value in found.items() if value not in (None, "", "-")}
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


class RequestIdFilter(logging.Filter):
    """Gives each record the `request_id`, `trace_id` and `span_id` of the request at hand, or `-`.

    Hang it on the handlers of an application. Requests are named from the first one on that is
    made; they have no names where the setting `request_id` is `off`.
    """

    is_wanted: ClassVar[bool] = False

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        RequestIdFilter.is_wanted = True
        _oxicorn.want_request_ids()

    def filter(self, record: logging.LogRecord) -> bool:
        names = _current.get() or {}
        for name in ABOUT:
            if not hasattr(record, name):
                setattr(record, name, names.get(name, "-"))
        return True


def enter_request(environ: Mapping[str, Any]) -> None:
    """Has records say from now on, in this thread or greenlet, that they are about this request."""
    keys = ((name, f"oxicorn.{name}") for name in ABOUT)
    _current.set({name: environ[key] for name, key in keys if key in environ})


def leave_request() -> None:
    """Has them say nothing."""
    _current.set(None)


class SafeAtoms(dict[str, Any]):
    """The atoms of one access line, for `%`: what is missing is `-`, and text is escaped.

    Whoever takes a value by `get` has it as it is.
    """

    def __getitem__(self, name: str) -> Any:
        value = self.get(name.lower() if name.startswith("{") else name, "-")
        return value.translate(_ESCAPES) if isinstance(value, str) else value


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds)).astimezone().isoformat()
