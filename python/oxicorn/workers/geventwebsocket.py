"""`worker_class = "geventwebsocket"`: gevent's, with gevent-websocket's objects in environ.

What its own worker class for gunicorn does with whole connections is done with one request here, so
everything but the WebSockets stays the engine's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from geventwebsocket.handler import WebSocketHandler

from oxicorn.workers import gevent

__all__ = ["HOST"]


class _Server:
    """What handlers and applications find of the server."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.application = app
        self.clients: dict[Any, Any] = {}


class _Handler(WebSocketHandler):  # type: ignore[misc]
    """gevent-websocket's handler of a request that the engine has read, on the socket of it."""

    def __init__(self, server: _Server, environ: dict[str, Any]) -> None:
        self.server, self.application, self.environ = server, server.application, environ
        self.socket = environ["gunicorn.socket"]
        self.rfile = self.socket.makefile("rb", -1)
        address = environ.get("REMOTE_ADDR") or ""
        port = environ.get("REMOTE_PORT")
        self.client_address = (address, int(port)) if port else address
        self.command, self.path = environ["REQUEST_METHOD"], environ["RAW_URI"]
        self.request_version = environ["SERVER_PROTOCOL"]
        self.requestline = f"{self.command} {self.path} {self.request_version}"
        # As at the beginning of a response.
        self.time_start, self.time_finish = time.time(), 0.0
        self.status: bytes | None = None
        self.result: Any = None
        self.headers_sent, self.close_connection = False, True
        self.response_use_chunked = False
        self.response_length = 0

    def process_result(self) -> None:
        """Sends why there is no WebSocket, which the base class says in texts."""
        self.result = [part.encode() if isinstance(part, str) else part for part in self.result]
        super().process_result()

    def finalize_headers(self) -> None:
        """Says that this is all, where the answer is no WebSocket."""
        super().finalize_headers()
        if self.code != 101:
            self.response_headers.append((b"Connection", b"close"))


def _adapt(app: Callable[..., Any]) -> Callable[..., Any]:
    """The application, called with `wsgi.websocket` when a request asks for a WebSocket."""
    server = _Server(app)

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # It knows no other protocols beside its own.
        if (
            "gunicorn.socket" not in environ
            or environ.get("HTTP_UPGRADE", "").lower() != "websocket"
        ):
            return app(environ, start_response)
        handler = _Handler(server, environ)
        try:
            handler.run_application()
        finally:
            handler.rfile.close()
        return []

    return call


HOST = dataclasses.replace(gevent.HOST, adapt=_adapt)
