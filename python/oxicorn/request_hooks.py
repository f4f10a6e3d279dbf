"""What `pre_request` and `post_request` are called with."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from oxicorn import logger
from oxicorn.log_records import RequestIdFilter, enter_request, leave_request
from oxicorn.statsd import Statsd

if TYPE_CHECKING:
    from oxicorn.worker import Worker

# The server's own, which gunicorn does not show either.
_SERVERS = frozenset({"server", "date", "connection", "transfer-encoding"})


class Request:
    """A request as hooks see it."""

    def __init__(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        self.method: str = environ["REQUEST_METHOD"]
        self.uri: str = environ["RAW_URI"]
        """The target as it was received."""
        target = self.uri.partition("#")[0]
        if "://" in target and not target.startswith("/"):
            target = "/" + target.partition("://")[2].partition("/")[2]
        self.path, _, self.query = target.partition("?")
        self.fragment = self.uri.partition("#")[2]
        self.headers = headers
        """Field names in upper case with their values, in the order received."""
        major, _, minor = environ["SERVER_PROTOCOL"].removeprefix("HTTP/").partition(".")
        self.version = (int(major or 0), int(minor or 0))
        self.scheme: str = environ["wsgi.url_scheme"]
        port = environ.get("REMOTE_PORT")
        self.remote_addr: tuple[str, int] | str = (
            (environ["REMOTE_ADDR"], int(port)) if port else environ["REMOTE_ADDR"]
        )
        self.peer_addr = self.remote_addr
        self.body = environ["wsgi.input"]
        self._began = time.perf_counter()


class Response:
    """A response as hooks see it, after it was handed over."""

    def __init__(self, status: int, sent: int, head: str | None) -> None:
        self.status_code = status
        self.sent = sent
        """Bytes of its body."""
        self.headers: list[tuple[str, str]] = []
        """The application's fields; none when an error page took its place."""
        self.headers_sent = True
        if head is None:
            self.status = f"{status} {_reason(status)}".rstrip()
            return
        first, *lines = head.split("\r\n")
        self.status = first.partition(" ")[2]
        for line in lines:
            name, _, value = line.partition(": ")
            if name.lower() not in _SERVERS:
                self.headers.append((name, value))


class RequestHooks:
    """Calls the hooks of one worker, and its logger."""

    def __init__(
        self,
        worker: Worker,
        pre: Callable[..., object] | None,
        post: Callable[..., object] | None,
        access: Callable[..., object] | None,
        measure: Callable[[int, float], object] | None,
        marks_records: bool,
    ) -> None:
        self._worker = worker
        self._pre = pre
        self._post = post
        self._arguments = _arguments(post) if post else 0
        self._access = access
        self._measure = measure
        self._marks_records = marks_records

    def before(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> Request:
        """Called before the application; what it raises is the application's failure."""
        request = Request(environ, headers)
        if self._marks_records:
            enter_request(environ)
        if self._pre is not None:
            self._pre(self._worker, request)
        return request

    def after(
        self, request: Request, environ: dict[str, Any], status: int, sent: int, head: str | None
    ) -> None:
        """Called when the response has ended, well or not."""
        seconds = time.perf_counter() - request._began
        try:
            self._after(request, environ, Response(status, sent, head), seconds)
        finally:
            if self._marks_records:
                leave_request()

    def _after(
        self, request: Request, environ: dict[str, Any], response: Response, seconds: float
    ) -> None:
        if self._measure is not None:
            self._measure(response.status_code, seconds)
        if self._access is not None:
            try:
                self._access(response, request, environ, timedelta(seconds=seconds))
            except Exception:
                logger.tell_of_failure(f"{request.method} {request.uri}")
        if self._post is not None:
            arguments = (self._worker, request, environ, response)
            self._post(*arguments[: self._arguments])


def of(worker: Worker, access_by_python: bool) -> RequestHooks | None:
    """The hooks around requests, if the settings have any, or the logger needs them."""
    settings = worker.cfg.resolve()
    pre, post = settings.hook("pre_request"), settings.hook("post_request")
    access = worker.log.access if access_by_python else None
    measure = None
    if access is None and isinstance(worker.log, Statsd):
        measure = worker.log.measure
    marks_records = RequestIdFilter.is_wanted
    if pre or post or access or measure or marks_records:
        return RequestHooks(worker, pre, post, access, measure, marks_records)
    return None


def _arguments(function: Callable[..., object]) -> int:
    """How many of its four arguments a `post_request` takes."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return 4
    for count in (4, 3):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    return 2


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
