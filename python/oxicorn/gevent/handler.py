"""`WSGIHandler`, and which of its subclasses need more than the engine's own way with a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from gevent import pywsgi

if TYPE_CHECKING:
    from oxicorn.gevent.server import WSGIServer

__all__ = ["WSGIHandler", "is_plain", "line", "needs_socket"]

# What a subclass may override and still leave the reading and writing to the engine.
_LIGHT = {"finalize_headers", "format_request", "get_environ", "log_request", "start_response"}
# Written in every class without being anybody's intention.
_USUAL = {"__annotations__", "__dict__", "__doc__", "__firstlineno__", "__module__"}
_USUAL |= {"__static_attributes__", "__weakref__", "__qualname__"}


class WSGIHandler(pywsgi.WSGIHandler):  # type: ignore[misc]
    """What answers requests, for subclasses that change how.

    A subclass that overrides nothing but `log_request`, `format_request`, `get_environ`,
    `finalize_headers` or `start_response`, without touching the socket there, is used per request,
    and has no socket. Any other serves whole connections, as gevent's own class, which this is.
    """

    _given: dict[str, Any] | None = None
    """environ as the engine has made it; `None` where this serves a connection."""

    @classmethod
    def begin(
        cls, server: WSGIServer, environ: dict[str, Any], fields: list[tuple[str, str]]
    ) -> WSGIHandler:
        """A handler of one request that the engine has read."""
        handler: WSGIHandler = cls.__new__(cls)
        handler.server = server
        handler.socket = handler.rfile = None
        address = environ.get("REMOTE_ADDR") or ""
        handler.client_address = (
            (address, int(environ["REMOTE_PORT"])) if "REMOTE_PORT" in environ else address
        )
        handler.time_start = time.time()
        handler.application = server.application
        handler.command = environ["REQUEST_METHOD"]
        handler.path = environ["RAW_URI"]
        handler.request_version = environ["SERVER_PROTOCOL"]
        handler.requestline = line(environ)
        raw = "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
        handler.headers = pywsgi.headers_factory(BytesIO(raw.encode("latin-1")))
        handler._given = environ
        handler.environ = environ
        return handler

    def call(self, start_response: Callable[..., Any]) -> Any:
        """Calls the application, with what overridden methods make of the request."""
        self._start = start_response
        self.environ = self.get_environ()
        return self.application(self.environ, self.start_response)

    def end(self, status: int, sent: int, head: str | None) -> None:
        """The response is out."""
        self.time_finish = time.time()
        self.headers_sent = head is not None
        self.response_length = sent if head is None else sent + len(head) + 4
        if status and (self._orig_status or "").partition(" ")[0] != str(status):
            self._note(str(status), [])  # the server's own answer
        self.log_request()

    def get_environ(self) -> Any:
        """What the application is called with."""
        if self._given is None:
            return super().get_environ()
        # `server.get_environ` may say something else for each request.
        base = self.server.get_environ()
        environ = self.server.environ_class(self._given)
        known = self.server.known_keys
        environ.update({k: v for k, v in base.items() if k in known or k not in environ})
        return environ

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Begins the response."""
        if self._given is None:
            return super().start_response(status, headers, exc_info)
        if type(self).finalize_headers is WSGIHandler.finalize_headers:
            write = self._start(status, headers, exc_info)
            self._note(status, headers)
            return write
        self._note(status, headers)
        self.finalize_headers()
        status = self.status.decode("latin-1") if isinstance(self.status, bytes) else self.status
        pairs = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in self.response_headers]
        return self._start(status, pairs, exc_info)

    def finalize_headers(self) -> None:
        """Adds what the response lacks; done by the engine when it sends the head."""
        if self._given is None:
            super().finalize_headers()

    def _note(self, status: str, headers: Any) -> None:
        self._orig_status, self.status = status, status.encode("latin-1")
        self.code = int(status.split(" ", 1)[0])
        self.response_headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        lower = {name.lower(): value for name, value in headers}
        self.provided_date = lower.get("date")
        self.provided_content_length = lower.get("content-length")


def is_plain(kind: Any) -> bool:
    """Whether a handler class is the one that changes nothing."""
    return kind is WSGIHandler or kind is pywsgi.WSGIHandler


def needs_socket(kind: Any) -> bool:
    """Whether a handler class has to have the connection, and not only a request."""
    if is_plain(kind):
        return False
    if not (isinstance(kind, type) and issubclass(kind, WSGIHandler)):
        return True
    for base in kind.__mro__[: kind.__mro__.index(WSGIHandler)]:
        for name, value in vars(base).items():
            if name in _USUAL or not hasattr(WSGIHandler, name):
                continue
            if name not in _LIGHT or _touches_socket(value):
                return True
    return False


def line(environ: dict[str, Any]) -> str:
    """The request line."""
    return f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"


def _touches_socket(function: Any) -> bool:
    """Whether a method speaks of the socket; what is no plain function may do anything."""
    code = getattr(function, "__code__", None)
    return code is None or bool({"socket", "rfile"} & set(code.co_names))
