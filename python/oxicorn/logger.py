"""The logs as Python sees them: `server.log`, and the base of loggers of one's own.

The names, the arguments and the attributes are those of gunicorn's `gunicorn.glogging.Logger`,
which stands for this class where gunicorn is not installed. How the logs of a process are chosen
and opened is in `log_setup`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from datetime import timedelta
from logging import config as logging_config
from pathlib import Path
from typing import IO, Any, ClassVar

from oxicorn import _oxicorn, syslog
from oxicorn.log_records import (
    ABOUT,
    AccessLogHandler,
    ErrorLogHandler,
    JsonAccessFormatter,
    JsonFormatter,
    RequestIdFilter,
    SafeAtoms,
)

__all__ = [
    "CONFIG_DEFAULTS",
    "AccessLogHandler",
    "ErrorLogHandler",
    "JsonAccessFormatter",
    "JsonFormatter",
    "Logger",
    "RequestIdFilter",
    "SafeAtoms",
]

# What `logconfig_dict` and `logconfig_json` may leave out.
CONFIG_DEFAULTS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": ["console"], "propagate": True},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stdout",
        },
        "error_console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stderr",
        },
    },
    "formatters": {
        "generic": {
            "format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
            "class": "logging.Formatter",
        }
    },
}


class Logger:
    """Writes both logs through the loggers `gunicorn.error` and `gunicorn.access`.

    Their handlers are what `setup` puts there, and whatever the operator adds.
    """

    LOG_LEVELS: ClassVar[dict[str, int]] = {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO
    error_fmt = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = "[%Y-%m-%d %H:%M:%S %z]"
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class: Any = SafeAtoms

    def __init__(self, cfg: Any) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = False
        self.access_log = logging.getLogger("gunicorn.access")
        self.access_log.propagate = False
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg: Any) -> None:
        """Makes the handlers that the settings ask for; raises `OSError` or `ValueError`."""
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):
            for handler in filter(_is_ours, list(log.handlers)):
                log.removeHandler(handler)
        is_json = cfg.log_format == "json"
        text = logging.Formatter(self.error_fmt, self.datefmt)
        self._set_handler(self.error_log, cfg.errorlog, JsonFormatter() if is_json else text)
        line = JsonAccessFormatter() if is_json else logging.Formatter(self.access_fmt)
        self._set_handler(self.access_log, cfg.accesslog, line, sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        self._configure(cfg)

    # The error log.

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """A message of the level with this number or name."""
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    # The access log.

    @property
    def access_log_enabled(self) -> bool:
        """Whether the settings ask for an access log."""
        cfg = self.cfg
        has_config = cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
        to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        return bool(cfg.accesslog or has_config or to_syslog)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """One line for a request that was answered."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self.cfg.access_log_format, atoms)
        except Exception:
            self.error("%s", traceback.format_exc())

    def atoms(
        self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta
    ) -> dict[str, Any]:
        """What an access line can say, by the names that `access_log_format` has."""
        status = resp.status
        if isinstance(status, str):
            status = status.partition(" ")[0]
        sent = getattr(resp, "sent", None)
        microseconds = request_time // timedelta(microseconds=1)
        words = (environ.get(name) for name in ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL"))
        atoms: dict[str, Any] = {
            "h": environ.get("REMOTE_ADDR") or "-",
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": " ".join(word or "-" for word in words),
            "s": status,
            "m": environ.get("REQUEST_METHOD") or "-",
            "U": environ.get("PATH_INFO") or "-",
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL") or "-",
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": microseconds // 1_000_000,
            "D": microseconds,
            "M": microseconds // 1000,
            "L": f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}",
            "p": f"<{os.getpid()}>",
        }
        for letter, pairs in (
            ("i", _pairs(getattr(req, "headers", req))),
            ("o", _pairs(resp.headers)),
            ("e", environ.items()),
        ):
            atoms |= {f"{{{name.lower()}}}{letter}": value for name, value in pairs}
        for name in ABOUT:
            atoms[f"{{{name}}}x"] = environ.get(f"oxicorn.{name}", "-")
        return atoms

    def now(self) -> str:
        """The time as access lines have it."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    # Files.

    def reopen_files(self) -> None:
        """Opens the server's logs and the files of every `FileHandler` again by their names.

        A log whose file cannot be opened goes on in the old one; then it raises `OSError`.
        """
        _oxicorn.reopen_logs()
        failure: OSError | None = None
        for handler in file_handlers():
            handler.acquire()
            try:
                before = handler.stream
                if before:
                    handler.stream = handler._open()
                    before.close()
            except OSError as error:
                failure = error
            finally:
                handler.release()
        if failure is not None:
            raise failure

    def close_on_exec(self) -> None:
        """Lets no program that is started inherit the files."""
        for handler in file_handlers():
            if handler.stream:
                os.set_inheritable(handler.stream.fileno(), False)

    # What subclasses call and override under these names.

    def _get_gunicorn_handler(self, log: logging.Logger) -> logging.Handler | None:
        return next(filter(_is_ours, log.handlers), None)

    def _set_handler(
        self,
        log: logging.Logger,
        output: str | None,
        fmt: logging.Formatter,
        stream: IO[str] | None = None,
    ) -> None:
        """Has `log` written to `output` in this format, in place of what was set before."""
        before = self._get_gunicorn_handler(log)
        if before is not None:
            log.removeHandler(before)
        if output is None:
            return
        handler: logging.Handler
        if log is self.error_log and output == self.cfg.errorlog:
            handler = ErrorLogHandler()
        elif log is self.access_log and output == self.cfg.accesslog:
            handler = AccessLogHandler()
        elif output == "-":
            handler = logging.StreamHandler(stream)
        else:
            handler = logging.FileHandler(output)
        self._add(log, handler, fmt)

    def _set_syslog_handler(self, log: logging.Logger, cfg: Any, fmt: str, name: str) -> None:
        facility = syslog.parse_facility(cfg.syslog_facility)
        address, kind = syslog.parse_address(cfg.syslog_addr)
        try:
            handler = syslog.SyslogHandler(address, kind, facility)
        except OSError as error:
            reason = error.strerror or error
            text = f"syslog_addr: cannot connect to `{cfg.syslog_addr}`: {reason}"
            raise ValueError(text) from None
        prefix = cfg.syslog_prefix or cfg.proc_name.replace(":", ".")
        ident = f"gunicorn.{prefix}.{name}: "
        form = logging.Formatter(ident.replace("%", "%%") + fmt)
        if cfg.log_format == "json":
            form = _Prefixed(ident, JsonFormatter() if name == "error" else JsonAccessFormatter())
        self._add(log, handler, form)

    def _get_user(self, environ: Mapping[str, Any]) -> str | None:
        """The user of Basic authentication."""
        scheme, _, credentials = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() != "basic":
            return None
        with contextlib.suppress(ValueError):  # no base64, or no UTF-8
            user, colon, _ = base64.b64decode(credentials.strip()).partition(b":")
            return user.decode() if colon else None
        return None

    @staticmethod
    def _add(log: logging.Logger, handler: logging.Handler, form: logging.Formatter) -> None:
        handler.setFormatter(form)
        handler._gunicorn = True  # type: ignore[attr-defined]
        log.addHandler(handler)

    @staticmethod
    def _configure(cfg: Any) -> None:
        """Python's own settings of logging: the dictionary, or else the JSON file, or the ini."""
        if cfg.logconfig_dict:
            name = "logconfig_dict"
        elif cfg.logconfig_json:
            name = "logconfig_json"
        elif cfg.logconfig:
            name = "logconfig"
        else:
            return
        try:
            if name == "logconfig_dict":
                logging_config.dictConfig(CONFIG_DEFAULTS | cfg.logconfig_dict)
            elif name == "logconfig_json":
                found = json.loads(Path(cfg.logconfig_json).read_bytes())
                logging_config.dictConfig(CONFIG_DEFAULTS | found)
            else:
                with Path(cfg.logconfig).open() as file:
                    here = {"__file__": cfg.logconfig, "here": str(Path(cfg.logconfig).parent)}
                    logging_config.fileConfig(file, here, disable_existing_loggers=False)
        except Exception as error:
            raise ValueError(f"{name}: {_explained(error)}") from error


class StartLog:
    """Stands for the logger until the settings' own is there: nothing but text."""

    def error(self, msg: str, *args: object) -> None:
        _oxicorn.log("error", msg % args if args else msg)

    def exception(self, msg: str, *args: object) -> None:
        self.error(f"{msg % args if args else msg}\n{traceback.format_exc().rstrip()}")


class _Prefixed(logging.Formatter):
    """What another formatter makes of a record, behind the same text each time."""

    def __init__(self, prefix: str, inner: logging.Formatter) -> None:
        super().__init__()
        self._prefix, self._inner = prefix, inner

    def format(self, record: logging.LogRecord) -> str:
        return self._prefix + self._inner.format(record)


def tell_of_failure(what: object) -> None:
    """Says that the exception at hand is a logger's; not by the logger, which has just failed."""
    _oxicorn.write_error_line(f"The logger failed for: {what}\n{traceback.format_exc().rstrip()}")


def file_handlers() -> Iterable[logging.FileHandler]:
    """The handlers of all loggers that write to files."""
    loggers: list[Any] = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = (handler for log in loggers for handler in getattr(log, "handlers", ()))
    found = [handler for handler in handlers if isinstance(handler, logging.FileHandler)]
    return dict.fromkeys(found)


def _is_ours(handler: logging.Handler) -> bool:
    return getattr(handler, "_gunicorn", False)


def _pairs(fields: Any) -> Iterable[tuple[str, Any]]:
    pairs: Iterable[tuple[str, Any]] = fields.items() if hasattr(fields, "items") else fields
    return pairs


def _explained(error: BaseException | None) -> str:
    """The error with what it came of: `dictConfig` says only there what is wrong."""
    said: list[str] = []
    while error is not None:
        said.append(str(error) or type(error).__name__)
        error = error.__cause__
    return ": ".join(dict.fromkeys(said))
