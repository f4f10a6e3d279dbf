"""WSGI for requests that Tornado's own server has parsed: its objects in, its connection out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent import futures
from http import HTTPStatus
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.log import app_log

__all__ = ["respond"]

# Tornado's own to say (RFC 9110, 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


async def respond(
    app: Callable[..., Any],
    environ: dict[str, Any],
    request: HTTPServerRequest,
    executor: futures.Executor | None,
) -> int:
    """Calls the application and sends what it yields, each piece when the one before was taken.

    All of a request runs in one job of `executor`, or on the loop's thread without one. Gives the
    status that was sent, or 0 if the client left before.
    """
    call = _Call(app, environ, request)
    try:
        if executor is None:
            with contextlib.closing(call.pieces()) as pieces:
                for piece in pieces:
                    await call.send(piece)
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(executor, call.run, loop)
        call.connection.finish()
    except StreamClosedError:
        pass
    except Exception:
        app_log.error("Uncaught exception %s %s", request.method, request.uri, exc_info=True)
        await call.fail()
    return call.status if call.began else 0


class _Call:
    """One request while the application works on it."""

    def __init__(
        self, app: Callable[..., Any], environ: dict[str, Any], request: HTTPServerRequest
    ) -> None:
        assert request.connection is not None
        self.connection = request.connection
        self.status = 0
        self.began = False
        self._app, self._environ = app, environ
        self._is_head = request.method == "HEAD"
        self._reason = ""
        self._fields: HTTPHeaders | None = None
        self._written: list[bytes] = []

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """The application's part on another thread than the loop's."""
        with contextlib.closing(self.pieces()) as pieces:
            for piece in pieces:
                sent = asyncio.run_coroutine_threadsafe(self.send(piece), loop)
                while futures.wait([sent], 1.0).not_done:
                    # Nobody would ever send it.
                    if not loop.is_running():
                        raise StreamClosedError
                sent.result()

    def pieces(self) -> Generator[bytes, None, None]:
        """What is to be sent, in order; the head goes before the first."""
        result = self._app(self._environ, self._start_response)
        try:
            if isinstance(result, (list, tuple)) and self._fields is not None:
                self._add_length(sum(map(len, [*self._written, *result])))
            for item in result:
                if not isinstance(item, bytes):
                    raise TypeError(f"the application yielded {type(item).__name__}, not bytes")
                yield from self._take_written()
                if item:
                    yield item
            yield from self._take_written()
            # The head is due also where there is no body.
            yield b""
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    async def send(self, piece: bytes) -> None:
        """Sends a piece, after the head if that is due; returns when the socket has taken it."""
        if self._is_head or self.status in (204, 304):
            piece = b""
        if not self.began:
            if self._fields is None:
                raise RuntimeError("the application did not call start_response")
            self.began = True
            line = ResponseStartLine("HTTP/1.1", self.status, self._reason)
            await self.connection.write_headers(line, self._fields, piece or None)
        elif piece:
            await self.connection.write(piece)

    async def fail(self) -> None:
        """Ends a response that failed: a 500 if nothing is out yet, else a visible cut."""
        if self.began:
            self.connection.close()  # type: ignore[attr-defined]  # of all that Tornado has
            return
        self.began, self.status = True, 500
        fields = HTTPHeaders({"Content-Type": "text/plain", "Content-Length": "22"})
        line = ResponseStartLine("HTTP/1.1", 500, "Internal Server Error")
        body = None if self._is_head else b"Internal Server Error\n"
        with contextlib.suppress(StreamClosedError):
            await self.connection.write_headers(line, fields, body)
            self.connection.finish()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self.began:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._fields is not None:
            raise RuntimeError("start_response was called already")
        code, _, reason = status.partition(" ")
        fields = HTTPHeaders()
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                fields.add(name, value)
        self.status, self._fields = int(code), fields
        self._reason = reason or _reason(self.status)
        return self._written.append

    def _add_length(self, length: int) -> None:
        assert self._fields is not None
        if "Content-Length" not in self._fields and self.status not in (204, 304):
            self._fields["Content-Length"] = str(length)

    def _take_written(self) -> Generator[bytes, None, None]:
        written, self._written[:] = b"".join(self._written), []
        if written:
            yield written


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
