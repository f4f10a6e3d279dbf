"""`HTTPServer` and `WSGIContainer` in place of Tornado's: the same arguments, this engine.

A container that does what Tornado's does is served by the engine on Tornado's loop. What needs
Tornado's own objects (other request callbacks, containers and servers with methods overridden) is
served by Tornado's own server, as before.
"""

from __future__ import annotations

import atexit
import os
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import tornado.httpserver
import tornado.wsgi
from tornado import process
from tornado.concurrent import dummy_executor
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.locks import Event
from tornado.log import access_log, app_log, gen_log

from oxicorn._oxicorn import CommandLine, LoopHandle, Settings
from oxicorn.ssl_arguments import settings_of
from oxicorn.workers.threads import Threads
from oxicorn.workers.tornado import LoopDriver
from oxicorn.workers.tornado_parsed import respond

__all__ = ["HTTPServer", "WSGIContainer"]

# As long as Tornado waits for the next request of a connection.
_IDLE = 3600.0
# Tornado's limits where it is given none.
_BODY = 104857600
_HEAD = 65536
# What is believed of the peers on this host.
_LOCAL = ["127.0.0.0/8", "::1", "unix:"]
# Seconds for requests that run when all connections are to be closed.
_LAST = 3.0


class WSGIContainer(tornado.wsgi.WSGIContainer):
    """A WSGI application for `HTTPServer`, or for `tornado.web.FallbackHandler`.

    Without `executor` it runs on threads that this container starts; `executor="inline"` runs it
    on the loop's thread, where it stops everything else.
    """

    def __init__(
        self, wsgi_application: Callable[..., Any], executor: Executor | str | None = None
    ) -> None:
        if isinstance(executor, ProcessPoolExecutor):
            raise TypeError("executor: a request cannot go to another process")
        if isinstance(executor, str) and executor != "inline":
            raise ValueError(f'executor: expected an Executor, None or "inline", got {executor!r}')
        if executor is None:
            executor = Threads()
        super().__init__(
            wsgi_application, dummy_executor if isinstance(executor, str) else executor
        )

    def environ(self, request: HTTPServerRequest) -> dict[str, Any]:
        """The environ of a request that Tornado has parsed."""
        # Tornado takes `X_A` for `X-A`, so a client could pose as a proxy.
        for name in [name for name in request.headers if "_" in name]:
            del request.headers[name]
        environ = super().environ(request)
        if "X-Consumed-Content-Encoding" in request.headers:
            # The field tells the length before Tornado has unpacked it.
            environ["CONTENT_LENGTH"] = str(len(request.body))
        cookies = request.headers.get_list("Cookie")
        if len(cookies) > 1:
            environ["HTTP_COOKIE"] = "; ".join(cookies)
        return environ

    async def handle_request(self, request: HTTPServerRequest) -> None:
        """Answers a request that Tornado has parsed, as fast as its client takes the answer."""
        executor = None if self.executor is dummy_executor else self.executor
        status = await respond(self.wsgi_application, self.environ(request), request, executor)
        if status:
            self._log(status, request)


class HTTPServer(tornado.httpserver.HTTPServer):
    """An HTTP server for a WSGI application on the loop that is current when it listens."""

    def initialize(
        self,
        request_callback: Any,
        no_keep_alive: bool = False,
        xheaders: bool | Mapping[str, str] = False,
        ssl_options: Any = None,
        protocol: str | None = None,
        decompress_request: bool = False,
        chunk_size: int | None = None,
        max_header_size: int | None = None,
        idle_connection_timeout: float | None = None,
        body_timeout: float | None = None,
        max_body_size: int | None = None,
        max_buffer_size: int | None = None,
        trusted_downstream: list[str] | None = None,
        websocket_limit: int = 1000,
    ) -> None:
        """Takes Tornado's arguments; the guide on Tornado says what each does here."""
        self._natively = (
            _is_plain(request_callback)
            and _is_plain_server(type(self))
            # The engine leaves bodies as they come.
            and not decompress_request
            # It does not tell what files it was made of.
            and not isinstance(ssl_options, ssl.SSLContext)
        )
        if not self._natively and isinstance(ssl_options, dict) and "http_protocols" in ssl_options:
            raise TypeError(
                "http_protocols: Tornado's own server serves this, and speaks HTTP/1.1 only: leave "
                "it out of ssl_options"
            )
        natively_secured = self._natively and ssl_options is not None
        tls = settings_of(ssl_options) if natively_secured else {}
        super().initialize(
            request_callback,
            no_keep_alive=no_keep_alive,
            xheaders=bool(xheaders),
            ssl_options=ssl_options,
            protocol=protocol,
            decompress_request=decompress_request,
            chunk_size=chunk_size,
            max_header_size=max_header_size,
            idle_connection_timeout=idle_connection_timeout,
            body_timeout=body_timeout,
            max_body_size=max_body_size,
            max_buffer_size=max_buffer_size,
            trusted_downstream=trusted_downstream,
        )
        if not self._natively:
            return
        if protocol not in (None, "http", "https"):
            raise ValueError(f'protocol: expected "http" or "https", got {protocol!r}')
        if chunk_size is not None:
            warnings.warn("chunk_size: has no effect in oxicorn", stacklevel=3)
        idle = _IDLE if idle_connection_timeout is None else idle_connection_timeout
        values: dict[str, Any] = {
            # `stop` lets requests go on.
            "graceful_timeout": 86400,
            "keepalive": 0 if no_keep_alive else idle,
            "limit_request_body": max_body_size or max_buffer_size or _BODY,
            # Requests wait for a thread without limit, as in Tornado.
            "queue_timeout": 0,
            "threads": 1 if request_callback.executor is dummy_executor else 2,
            "websocket_limit": websocket_limit,
            "worker_connections": 1_000_000,
            # What else is believed is said by `xheaders`.
            "forwarded_allow_ips": [],
            "forwarder_headers": [],
            **tls,
        }
        if idle_connection_timeout is not None:
            values["client_head_timeout"] = min(10.0, idle)
        if body_timeout is not None:
            # The time in which it must have come, however much has.
            values["client_body_grace"] = body_timeout
            values["client_body_rate"] = 1 << 62
        # Only the head as a whole is limited.
        values["limit_request_line"] = values["limit_request_field_size"] = 0
        self._max_head = _HEAD if max_header_size is None else max_header_size
        if xheaders:
            values["proxy"] = {
                "trusted": [*_LOCAL, *(trusted_downstream or ())],
                "x_for": "auto",
                "x_proto": 1,
                "headers": dict(xheaders) if isinstance(xheaders, Mapping) else {},
            }
        self._values = values
        # It is not known which fields the proxy sets.
        self._is_guessing = xheaders is True
        self._environ = {} if protocol is None else {"wsgi.url_scheme": protocol}
        self._serving: list[_Serving] = []

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Serves what comes in on these sockets too, from now on."""
        if not self._natively:
            super().add_sockets(sockets)
            return
        added = {sock.fileno(): sock for sock in sockets}
        self._sockets.update(added)
        if (
            self.xheaders
            and not self.trusted_downstream
            and not all(map(_is_local, added.values()))
        ):
            gen_log.warning(
                "xheaders: only proxies on this host are believed; trusted_downstream names others"
            )
        siblings = {} if process.task_id() is None else {"workers": 2}
        container: Any = self.request_callback
        serving = _Serving(
            container.wsgi_application,
            CommandLine([], {}).settings(framework={**self._values, **siblings}),
            list(added),
            None if container.executor is dummy_executor else container.executor,
            self._environ,
            _Lines(self._is_guessing),
            self._max_head,
        )
        self._serving.append(serving)

    def stop(self) -> None:
        """Closes the listeners and idle connections; requests that run go on."""
        if not self._natively:
            super().stop()
        elif not self._stopped:
            self._stopped = True
            for serving in self._serving:
                serving.drain()
            for sock in self._sockets.values():
                sock.close()

    async def close_all_connections(self) -> None:
        """Stops, gives requests that run three seconds, and waits for the end."""
        if not self._natively:
            await super().close_all_connections()
            return
        self.stop()
        for serving in self._serving:
            serving.drain(_LAST)
        for serving in self._serving:
            await serving.over.wait()


class _Serving:
    """The engine with its driver, from `add_sockets` to the last connection's end."""

    def __init__(
        self,
        app: Callable[..., Any],
        settings: Settings,
        descriptors: list[int],
        executor: Executor | None,
        environ: dict[str, Any],
        hooks: _Lines,
        max_head: int,
    ) -> None:
        self.over = Event()
        self._loop = IOLoop.current()
        self._engine = LoopHandle(
            app,
            settings,
            descriptors,
            None,
            report=self._report,
            socket=socket.socket,
            environ=environ,
            request_hooks=hooks,
            max_head=max_head,
            access_log=False,
        )
        self._driver = LoopDriver(
            self._engine, self._ended, executor, getattr(executor, "most", None)
        )
        self._pid = os.getpid()
        atexit.register(self._leave)
        self._driver.begin()

    def drain(self, within: float | None = None) -> None:
        if self._driver.is_open:
            self._engine.drain(within)
            # Its own hold on the listeners ends here, so that the address is free at once. What was
            # taken in from there is for the loop to start.
            self._engine.turn()
            self._loop.add_callback(self._driver.turn)

    def _ended(self) -> None:
        self.over.set()
        if not self._driver.running and self._engine.is_left:
            self._engine.close()
            atexit.unregister(self._leave)

    def _leave(self) -> None:
        # Threads inside the engine have to leave it before the interpreter is taken down under
        # them. A forked child has the object, but not the threads.
        if self._pid == os.getpid():
            if self._driver.is_open:
                self._engine.stop()
            while self._driver.running or not self._engine.is_left:
                time.sleep(0.01)

    def _report(self, environ: dict[str, Any], kind: Any, error: Any, traceback: Any) -> bool:
        what = f"{environ.get('REQUEST_METHOD')} {environ.get('RAW_URI')}"
        app_log.error("Uncaught exception %s", what, exc_info=(kind, error, traceback))
        if isinstance(error, KeyboardInterrupt):
            # It hit the application, and is meant for the program.
            self._loop.add_callback(_raise, error)
        return True


class _Lines:
    """Writes a line for each request, as Tornado's container does."""

    def __init__(self, watches_proxy: bool) -> None:
        self._watches_proxy = watches_proxy

    def before(self, environ: dict[str, Any], headers: object) -> tuple[float, str]:
        address = environ.get("REMOTE_ADDR") or "-"
        if self._watches_proxy and (
            environ.get("HTTP_X_REAL_IP", address) != address
            or environ.get("HTTP_X_SCHEME", environ["wsgi.url_scheme"])
            != environ["wsgi.url_scheme"]
        ):
            self._watches_proxy = False
            gen_log.warning(
                "xheaders: X-Real-Ip or X-Scheme of the proxy say something else than what is "
                "believed: have it set X-Forwarded-For and X-Forwarded-Proto (said once)"
            )
        # The application may change its dict.
        return time.monotonic(), f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} ({address})"

    def after(
        self,
        request: tuple[float, str],
        environ: dict[str, Any],
        status: int,
        sent: int,
        head: str | None,
    ) -> None:
        began, line = request
        log = access_log.info
        if status >= 400:
            log = access_log.warning if status < 500 else access_log.error
        log("%d %s %.2fms", status, line, 1000 * (time.monotonic() - began))


def _is_plain(container: object) -> bool:
    """Whether a request callback does no more than call a WSGI application."""
    if not isinstance(container, tornado.wsgi.WSGIContainer):
        return False
    ours, theirs = WSGIContainer, tornado.wsgi.WSGIContainer
    return all(
        getattr(type(container), name) in (getattr(ours, name), getattr(theirs, name))
        and name not in vars(container)
        for name in ("__call__", "_log", "environ", "handle_request")
    )


def _is_plain_server(kind: type) -> bool:
    """Whether a server has none of the methods overridden that get Tornado's objects."""
    theirs = tornado.httpserver.HTTPServer
    names = ("handle_stream", "on_close", "start_request")
    return all(getattr(kind, name) is getattr(theirs, name) for name in names)


def _is_local(sock: socket.socket) -> bool:
    name = sock.getsockname()
    return not isinstance(name, tuple) or name[0] == "::1" or name[0].startswith("127.")


def _raise(error: BaseException) -> None:
    raise error
