"""`server` in place of eventlet.wsgi's: the same arguments, this engine on eventlet's hub.

eventlet is at its end, and its authors ask to leave it; so this is for the time until then.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from eventlet import hubs
from eventlet.event import Event
from eventlet.green import ssl
from eventlet.greenpool import GreenPool
from eventlet.wsgi import HttpProtocol

from oxicorn._oxicorn import CommandLine, LoopHandle
from oxicorn.ssl_arguments import settings_of
from oxicorn.workers.eventlet import GreenDriver, Input, Socket, wait

__all__ = ["server"]

_LINE = (
    '%(client_ip)s - - [%(date_time)s] "%(request_line)s"'
    " %(status_code)s %(body_length)s %(wall_seconds).6f"
)


def server(
    sock: Any,
    site: Callable[..., Any],
    log: Any = None,
    environ: dict[str, Any] | None = None,
    max_size: int | None = None,
    max_http_version: str = "HTTP/1.1",
    protocol: type[HttpProtocol] | None = None,
    server_event: None = None,
    minimum_chunk_size: int | None = None,
    log_x_forwarded_for: bool = False,
    custom_pool: Any = None,
    keepalive: bool | float = True,
    log_output: bool = True,
    log_format: str = _LINE,
    url_length_limit: int = 8192,
    debug: bool = False,
    socket_timeout: float | None = None,
    capitalize_response_headers: bool = False,
    *,
    websocket_limit: int | None = None,
    **tls: Any,
) -> None:
    """Serves `site` on a listening socket until the calling green thread is ended, or for ever.

    Then no more is accepted, `sock` and idle connections are closed, and requests that run are
    waited for. The guide on eventlet says what each argument does here. Instead of a socket of
    `wrap_ssl`'s, give a plain one, and that function's arguments: `certfile`, `keyfile`, ….
    """
    if protocol not in (None, HttpProtocol):
        raise TypeError("protocol: not available in oxicorn")
    if server_event is not None:
        raise TypeError("server_event: not available in oxicorn")
    if max_http_version != "HTTP/1.1":
        raise TypeError(f"max_http_version: only HTTP/1.1 is available, not {max_http_version!r}")
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError(
            "sock: TLS is not Python's here, and no socket tells what files it was made of: "
            "give a plain one, and certfile and keyfile to this function"
        )
    for name, value, instead in (
        ("minimum_chunk_size", minimum_chunk_size, "what is yielded is sent at once"),
        ("debug", debug, "clients are never sent a traceback"),
        ("capitalize_response_headers", capitalize_response_headers, "names stay as they are"),
    ):
        if value:
            warnings.warn(f"{name}: has no effect in oxicorn; {instead}", stacklevel=2)
    pool = GreenPool(1024 if max_size is None else max_size) if custom_pool is None else custom_pool
    if websocket_limit is None:
        websocket_limit = getattr(pool, "size", 1024)
    write = _writer(log)
    values: dict[str, Any] = {
        "graceful_timeout": 86400,
        "keepalive": _idle(keepalive, socket_timeout),
        "limit_request_line": min(url_length_limit, 65536),
        "limit_request_field_size": 8192,
        # Requests wait for the pool without limit, as in eventlet.
        "queue_timeout": 0,
        "websocket_limit": websocket_limit,
        "worker_connections": 1_000_000,
    }
    if tls:
        values.update(settings_of(tls))
    if socket_timeout is not None:
        for name in ("client_head_timeout", "client_body_grace", "client_send_timeout"):
            values[name] = socket_timeout

    def report(environ: dict[str, Any], *error: Any) -> bool:
        write("".join(traceback.format_exception(*error)).rstrip())
        if error[0] is KeyboardInterrupt:
            # It hit the application, and is meant for the program.
            hubs.get_hub().schedule_call_global(0, _raise, error[1])
        return True

    engine = LoopHandle(
        site,
        CommandLine([], {}).settings(framework=values),
        [sock.fileno()],
        wait,
        report=report,
        socket=Socket,
        # As eventlet says it of green threads.
        environ={"GATEWAY_INTERFACE": "CGI/1.1", "wsgi.multithread": True, **(environ or {})},
        request_hooks=_Hooks(write if log_output else None, log_format, log_x_forwarded_for),
        access_log=False,
    )
    over = Event()
    driver = GreenDriver(engine, pool, over.send)
    driver.begin()
    write(f"({os.getpid()}) wsgi starting up on {sock.getsockname()}")
    try:
        over.wait()
    except (KeyboardInterrupt, SystemExit):
        write("wsgi exiting")
    finally:
        engine.drain()
        # The engine has its own, and takes in what is queued there.
        sock.close()
        over.wait()
        engine.close()
        write(f"({os.getpid()}) wsgi exited")


class _Hooks:
    """What eventlet adds to environ, and the line of a request."""

    def __init__(
        self, write: Callable[[str], object] | None, line: str, names_forwarded: bool
    ) -> None:
        self._write, self._line, self._names_forwarded = write, line, names_forwarded

    def before(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> dict[str, Any]:
        environ["headers_raw"] = tuple(headers)
        environ["eventlet.input"] = Input(environ)
        hooks: list[Any] = []
        environ["eventlet.posthooks"] = hooks
        address = environ.get("REMOTE_ADDR") or "-"
        if self._names_forwarded and "HTTP_X_FORWARDED_FOR" in environ:
            address = f"{_escaped(environ['HTTP_X_FORWARDED_FOR'])},{address}"
        method, version = environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"]
        return {
            "began": time.time(),
            "hooks": hooks,
            "client_ip": address,
            "client_port": environ.get("REMOTE_PORT", "-"),
            "request_line": f"{method} {environ['RAW_URI']} {version}",
        }

    def after(
        self,
        request: dict[str, Any],
        environ: dict[str, Any],
        status: int,
        sent: int,
        head: str | None,
    ) -> None:
        now = time.time()
        if self._write is not None:
            self._write(
                self._line
                % {
                    **request,
                    "date_time": time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(now)),
                    "status_code": status or "-",
                    "body_length": sent if head is None else sent + len(head) + 4,
                    "wall_seconds": now - request["began"],
                }
            )
        for hook, given, named in request["hooks"]:
            hook(environ, *given, **named)


def _raise(error: BaseException) -> None:
    raise error


def _idle(keepalive: bool | float, socket_timeout: float | None) -> float:
    """Seconds that a connection may wait for its next request."""
    if keepalive is True:
        return 75 if socket_timeout is None else socket_timeout
    return keepalive or 0


def _escaped(text: str) -> str:
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text)


def _writer(log: Any) -> Callable[[str], object]:
    info = getattr(log, "info", None)
    if callable(info):
        return lambda text: info("%s", text)
    stream = sys.stderr if log is None else log

    def write(text: str) -> None:
        stream.write(text + "\n")

    return write
