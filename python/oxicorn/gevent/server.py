"""`WSGIServer` in place of gevent.pywsgi's: the same arguments and methods, this engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from gevent import Greenlet, pywsgi
from gevent.hub import get_hub
from gevent.pool import Group
from gevent.server import StreamServer

from oxicorn._oxicorn import CommandLine, LoopHandle, __version__
from oxicorn.gevent.handler import WSGIHandler, is_plain, line, needs_socket
from oxicorn.ssl_arguments import settings_of
from oxicorn.workers.gevent import CrewDriver, HubDriver, Socket, wait

__all__ = ["WSGIServer"]

# Where a handler of one request waits for its call.
_HANDLER = "oxicorn.handler"

# What stands for no limit.
_MANY = 1_000_000

_SETTINGS = {
    "graceful_timeout": 86400,
    "permit_missing_host": True,
    # A full pool makes requests wait, without limit, as in gevent.pywsgi.
    "queue_timeout": 0,
    "worker_connections": _MANY,
}


class WSGIServer(StreamServer):  # type: ignore[misc]
    """A WSGI server on the hub of the thread that starts it."""

    handler_class: Any = WSGIHandler
    """What answers requests; see `WSGIHandler` for what a subclass may do at which price."""

    environ_class: Any = dict
    """The class of the environ that applications get; PEP 3333 asks for `dict` itself."""

    secure_environ_class: Any = pywsgi.WSGISecureEnviron
    """The class of the environ that the hub's error handler gets."""

    websocket_limit: int | None = None
    """WebSockets at a time, beside the requests; `None` is as many as the pool has places, or
    any number without one. More of them get a 503."""

    base_env: ClassVar[dict[str, Any]] = {
        **pywsgi.WSGIServer.base_env,
        "SERVER_SOFTWARE": f"oxicorn/{__version__}",
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
        handler_class: Any = None,
        environ: dict[str, Any] | None = None,
        **ssl_args: Any,
    ) -> None:
        self._tls = settings_of(ssl_args) if ssl_args else {}
        for name in ("do_handle", "do_close", "do_read", "wrap_socket_and_handle"):
            if getattr(type(self), name) is not getattr(StreamServer, name):
                raise TypeError(f"{name} is not called by this server: override handle()")
        self._engine: LoopHandle | None = None
        self._beside: Group | None = None
        self.known_keys: set[str] = set()
        if application is not None:
            self.application = application
        if handler_class is not None:
            self.handler_class = handler_class
        super().__init__(listener, backlog=backlog, spawn=spawn)
        # What `ssl_enabled` goes by.
        self.ssl_args = self._tls or None
        self.log = _log(log, 20)
        self.error_log = _log(error_log, 40)
        self.set_environ(environ)
        self.set_max_accept()

    def set_environ(self, environ: dict[str, Any] | None = None) -> None:
        """Says what every request's environ has beside the request."""
        if environ is not None:
            self.environ = environ
        said = getattr(self, "environ", None)
        self.environ = self.environ_class(self.base_env)
        self.environ["wsgi.url_scheme"] = "https" if self.ssl_enabled else "http"
        self.environ.update(said or {})
        if self.environ.get("wsgi.errors") is None:
            self.environ["wsgi.errors"] = self.error_log
        if self._engine is not None:
            self.update_environ()
            self._engine.merge_environ(self.get_environ())

    def set_max_accept(self) -> None:
        """Notes that with other processes connections are taken one by one, as the engine does."""
        if self.environ.get("wsgi.multiprocess"):
            self.max_accept = 1

    def get_environ(self) -> Any:
        """A copy of what `set_environ` and `update_environ` have said."""
        return self.environ_class(self.environ)

    def update_environ(self) -> None:
        """Called when the address is known; may be overridden to add to `environ`."""
        if isinstance(self.address, tuple):
            self.environ.setdefault("SERVER_NAME", str(self.address[0]) or "localhost")
            self.environ.setdefault("SERVER_PORT", str(self.address[1]))
        else:
            self.environ.setdefault("SERVER_NAME", "localhost")
            self.environ.setdefault("SERVER_PORT", "80")

    def handle(self, sock: Any, address: Any) -> None:
        """Serves one connection by a handler that wants all of it; others need no call."""
        self.handler_class(sock, address, self).handle()

    def init_socket(self) -> None:
        super().init_socket()
        self.update_environ()

    def start_accepting(self) -> None:
        """Accepts connections; `start` does it."""
        if self._engine is not None:
            self._engine.resume()
            return
        self._engine = engine = LoopHandle(
            self._call if self._is_light() else self._call_application,
            CommandLine([], {}).settings(framework=self._settings()),
            [self.socket.fileno()],
            wait,
            report=self._report,
            socket=Socket,
            access_log=False,
            **self._given(),
        )
        driver: HubDriver | CrewDriver
        if self._spawn == Greenlet.spawn and not self._needs_socket():
            driver = CrewDriver(engine, engine.close)
        else:
            # A pool counts each request, or connection, by its greenlet.
            driver = HubDriver(engine, self._spawn, self.full, engine.close, self._beside)
        self._turn = driver.turn
        driver.begin()

    def set_spawn(self, spawn: Any) -> None:
        """Says what runs requests; see gevent. A pool limits them, and not the WebSockets."""
        super().set_spawn(spawn)
        # In the hub itself a conversation would end everything else.
        self._beside = Group() if self.pool is not None or self._spawn is None else None

    def stop(self, timeout: float | None = None) -> None:
        """Closes the server; with a pool, waits for what runs, and kills it after the time."""
        seconds = self.stop_timeout if timeout is None else timeout
        until = time.monotonic() + seconds
        super().stop(timeout)
        if self._beside:
            self._beside.join(timeout=max(0.0, until - time.monotonic()))
            self._beside.kill(block=True, timeout=1)

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
            # Its own hold on the listener ends here, so that the address is free at once. What was
            # taken in from there is for the loop to start.
            engine.turn()
            get_hub().loop.run_callback(self._turn)
        super().close()

    def _needs_socket(self) -> bool:
        own = getattr(self.handle, "__func__", None) is WSGIServer.handle
        return not own or needs_socket(self.handler_class)

    def _is_light(self) -> bool:
        """Whether each request gets a handler, or an environ that is made for it."""
        makes_environ = type(self).get_environ is not WSGIServer.get_environ
        return (
            not is_plain(self.handler_class) or self.environ_class is not dict or makes_environ
        ) and not self._needs_socket()

    def _settings(self) -> dict[str, Any]:
        # The number is what tells it that others accept from the same listeners.
        workers = 2 if self.environ.get("wsgi.multiprocess") else 1
        limit = self.websocket_limit
        if limit is None:
            limit = getattr(self.pool, "size", None) or _MANY
        return {**_SETTINGS, **self._tls, "workers": workers, "websocket_limit": limit}

    def _given(self) -> dict[str, Any]:
        if self._needs_socket():
            # Libraries look for gevent's buffered reader by its name.
            software = pywsgi.WSGIServer.base_env["SERVER_SOFTWARE"]
            if self.environ.get("SERVER_SOFTWARE") == self.base_env["SERVER_SOFTWARE"]:
                self.environ["SERVER_SOFTWARE"] = software
            handle = self.handle

            def serve(sock: Any, address: Any) -> None:
                try:
                    handle(sock, address)
                except BaseException:
                    get_hub().handle_error((handle, sock, address), *sys.exc_info())
                finally:
                    sock.close()

            return {"handler": serve}
        environ = self.get_environ()
        self.known_keys = set(environ)
        hooks: Any = None
        if self._is_light():
            hooks = _Handlers(self)
        elif not isinstance(self.log, _Silence):
            hooks = _Lines(self.log)
        return {"environ": dict(environ), "request_hooks": hooks}

    def _call_application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # It may be another one by now.
        return self.application(environ, start_response)

    def _call(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        handler: WSGIHandler = environ.pop(_HANDLER)
        return handler.call(start_response)

    def _report(self, environ: dict[str, Any], kind: Any, error: Any, traceback: Any) -> bool:
        if not isinstance(environ, self.secure_environ_class):
            environ = self.secure_environ_class(environ)
        get_hub().handle_error(environ, kind, error, traceback)
        return True


class _Silence:
    """The log of a server that was told to be silent."""

    def write(self, text: str) -> None:
        """Forgets it."""

    def writelines(self, lines: Any) -> None:
        """Forgets them."""

    def flush(self) -> None:
        """Nothing is held back."""


class _Lines:
    """Writes a line for each request, as `format_request` does."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def before(self, environ: dict[str, Any], headers: object) -> tuple[float, str, str]:
        # The application may change its dict.
        return time.time(), environ.get("REMOTE_ADDR") or "-", line(environ)

    def after(
        self,
        request: tuple[float, str, str],
        environ: object,
        status: int,
        sent: int,
        head: str | None,
    ) -> None:
        began, peer, line = request
        now = time.time()
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        length = sent if head is None else sent + len(head) + 4
        self._log.write(
            f'{peer} - - [{date}] "{line}" {status or "-"} {length} {now - began:.6f}\n'
        )


class _Handlers:
    """Makes a handler for each request."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        kind = server.handler_class
        self._kind: type[WSGIHandler] = WSGIHandler if is_plain(kind) else kind

    def before(self, environ: dict[str, Any], fields: list[tuple[str, str]]) -> WSGIHandler:
        handler = self._kind.begin(self._server, environ, fields)
        environ[_HANDLER] = handler
        return handler

    def after(
        self, handler: WSGIHandler, environ: object, status: int, sent: int, head: str | None
    ) -> None:
        handler.end(status, sent, head)


def _log(log: Any, level: int) -> Any:
    if log == "default":
        return sys.stderr
    if log is None:
        return _Silence()
    if not hasattr(log, "write") and hasattr(log, "log"):
        return pywsgi.LoggingLogAdapter(log, level)
    return log
