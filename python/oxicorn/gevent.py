"""`WSGIServer` in place of gevent.pywsgi's: the same arguments and methods, this engine.

Each request runs in a greenlet of its own, when its head and body are there; an idle connection
costs no greenlet. Reading, limits, buffers and time limits are the engine's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from gevent.hub import get_hub
from gevent.server import StreamServer

from oxicorn._oxicorn import CommandLine, LoopHandle
from oxicorn.workers.gevent import HubDriver, Socket, wait

__all__ = ["LoggingLogAdapter", "WSGIServer"]


class LoggingLogAdapter:
    """A `logging.Logger` as an object with `write`; what else is asked for is the logger's."""

    def __init__(self, logger: Any, level: int = 20) -> None:
        self._logger, self._level = logger, level

    def write(self, text: str) -> None:
        self._logger.log(self._level, text[:-1] if text.endswith("\n") else text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Does nothing: nothing is held back."""

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


class WSGIServer(StreamServer):  # type: ignore[misc]
    """A WSGI server on the hub of the thread that starts it."""

    base_env: ClassVar[dict[str, Any]] = {
        "SCRIPT_NAME": "",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
    }
    """What every request's environ says; a subclass may say more."""

    def __init__(
        self,
        listener: Any,
        application: Callable[..., Any] | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: None = None,
        environ: dict[str, Any] | None = None,
        **ssl_args: Any,
    ) -> None:
        if ssl_args:
            names = ", ".join(sorted(ssl_args))
            raise TypeError(f"{names}: TLS is not available in this version of oxicorn")
        if handler_class is not None:
            raise TypeError("handler_class: not available in this version of oxicorn")
        self._driver: HubDriver | None = None
        self._engine: LoopHandle | None = None
        if application is not None:
            self.application = application
        super().__init__(listener, backlog=backlog, spawn=spawn)
        self.log = _log(log, 20)
        self.error_log = _log(error_log, 40)
        self.set_environ(environ)

    def set_environ(self, environ: dict[str, Any] | None = None) -> None:
        """Says what every request's environ has beside the request; counts from the next start."""
        self.environ = {**self.base_env, **(environ or {})}
        self.environ.setdefault("wsgi.errors", self.error_log or _Silence())

    def get_environ(self) -> dict[str, Any]:
        """A copy of what `set_environ` and `update_environ` have said."""
        return dict(self.environ)

    def update_environ(self) -> None:
        """Called when the address is known; may be overridden to add to `environ`."""
        if isinstance(self.address, tuple):
            self.environ.setdefault("SERVER_NAME", str(self.address[0]) or "localhost")
            self.environ.setdefault("SERVER_PORT", str(self.address[1]))
        else:
            self.environ.setdefault("SERVER_NAME", "localhost")
            self.environ.setdefault("SERVER_PORT", "80")

    def handle(self, *args: Any) -> None:
        """Connections are the engine's: nothing calls this."""

    def init_socket(self) -> None:
        super().init_socket()
        self.update_environ()

    def start_accepting(self) -> None:
        """Accepts connections; `start` does it."""
        if self._engine is not None:
            self._engine.resume()
            return
        values = {
            "graceful_timeout": 86400,
            "permit_missing_host": True,
            # A full pool makes requests wait, without limit, as in gevent.pywsgi.
            "queue_timeout": 0,
            "worker_connections": 1_000_000,
        }
        self._engine = engine = LoopHandle(
            self.application,
            CommandLine([], {}).settings(framework=values),
            [self.socket.fileno()],
            wait,
            report=_report,
            socket=Socket,
            environ=self.get_environ(),
            request_hooks=None if self.log is None else _Lines(self.log),
            access_log=False,
        )
        self._driver = HubDriver(engine, self._spawn, self.full, engine.close)
        self._driver.begin()

    def stop_accepting(self) -> None:
        """Leaves new connections in the listener's queue."""
        if self._engine is not None and not self._engine.is_over:
            self._engine.pause()

    def close(self) -> None:
        """Closes the listener; requests that run go on, idle connections are closed.

        `stop` does this too; with a pool it then waits for the requests, and kills them after its
        timeout. What clients have still to take of a finished response is sent all the same.
        """
        engine, self._engine = self._engine, None
        if engine is not None and not engine.is_over:
            engine.drain()
        super().close()


class _Silence:
    """`wsgi.errors` of a server that was told to be silent."""

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Forgets them."""

    def flush(self) -> None:
        """Nothing is held back."""


class _Lines:
    """Writes a line for each request, as gevent.pywsgi does."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def before(self, environ: dict[str, Any], headers: object) -> tuple[float, dict[str, Any]]:
        # The application may change its dict.
        line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
        return time.time(), {"line": line, "peer": environ.get("REMOTE_ADDR") or "-"}

    def after(
        self,
        request: tuple[float, dict[str, Any]],
        environ: dict[str, Any],
        status: int,
        sent: int,
        head: str | None,
    ) -> None:
        began, of = request
        now = time.time()
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        length = sent if head is None else sent + len(head) + 4
        self._log.write(
            f'{of["peer"]} - - [{date}] "{of["line"]}" {status or "-"} {length} {now - began:.6f}\n'
        )


def _log(log: Any, level: int) -> Any:
    if log == "default":
        return sys.stderr
    if log is None or hasattr(log, "write"):
        return log
    return LoggingLogAdapter(log, level)


def _report(environ: dict[str, Any], kind: Any, error: Any, traceback: Any) -> None:
    # Only what says who asked: environ has secrets.
    names = ("REQUEST_METHOD", "PATH_INFO", "REMOTE_ADDR", "REMOTE_PORT", "HTTP_HOST")
    context = {name: environ[name] for name in names if name in environ}
    get_hub().handle_error(context, kind, error, traceback)
