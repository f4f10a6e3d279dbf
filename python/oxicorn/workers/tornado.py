"""`worker_class = "tornado"`: turns on Tornado's loop, requests on its thread or beside it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from tornado.ioloop import IOLoop
from tornado.log import app_log
from tornado.web import Application

from oxicorn._oxicorn import LoopHandle, ReadyRequest
from oxicorn.errors import AppImportError
from oxicorn.workers import Host
from oxicorn.workers.driver import Driver
from oxicorn.workers.threads import Threads

__all__ = ["HOST", "LoopDriver"]


class LoopDriver(Driver):
    """A driver on the loop that is current where it is made.

    Requests run on `executor`, `most` of them at a time if that is known; without one they run
    on the loop's thread, with a round of the loop between any two.
    """

    def __init__(
        self,
        handle: LoopHandle,
        over: Callable[[], object],
        executor: Executor | None,
        most: int | None = None,
    ) -> None:
        super().__init__(handle, over)
        self._loop = IOLoop.current()
        self._executor, self._most = executor, most if executor else 1
        self._fd = -1
        self._timer: object = None
        # Guards `running` and who takes the next request: threads do it too.
        self._lock = threading.Lock()
        self.running = 0
        """Requests that run."""

    def watch(self, fd: int) -> None:
        self._fd = fd
        self._loop.add_handler(fd, lambda fd, events: self.turn(), IOLoop.READ)

    def turn_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
        self._timer = self._loop.call_later(seconds, self.turn_when_due)

    def unwatch(self) -> None:
        self._loop.remove_handler(self._fd)
        self._loop.remove_timeout(self._timer)

    def next(self) -> ReadyRequest | None:
        with self._lock:
            if self._most is not None and self.running >= self._most:
                return None  # a thread that becomes free takes it
            request = self.handle.next()
            self.running += request is not None
            return request

    def start(self, request: ReadyRequest) -> None:
        if self._executor is None:
            self._loop.add_callback(self._work_here, request)
            return
        try:
            self._executor.submit(self._work_there, request)
        except BaseException:
            with self._lock:
                self.running -= 1
            raise

    def _work_here(self, request: ReadyRequest) -> None:
        try:
            self.run(request)
        finally:
            self.running -= 1
        self.dispatch()

    def _work_there(self, request: ReadyRequest | None) -> None:
        while request is not None:
            self.run(request)
            with self._lock:
                request = self.handle.next()
                self.running -= request is None

    def fail(self, where: object) -> None:
        app_log.error("Exception while serving (%r)", where, exc_info=True)


def _prepare() -> None:
    # A loop that the master had, for an application loaded there, must not be shared.
    asyncio.set_event_loop(asyncio.new_event_loop())


def _serve(handle: LoopHandle, settings: Any, deliver: Callable[[], object] | None) -> int:
    loop = IOLoop.current()
    threads = settings.threads
    executor = Threads(threads) if threads > 1 else None
    return LoopDriver(handle, loop.stop, executor, threads).serve(loop.start, deliver)


def _adapt(app: Callable[..., Any]) -> Callable[..., Any]:
    """What a `WSGIContainer` wraps; a Tornado application needs Tornado's own server."""
    if isinstance(app, Application):
        raise AppImportError(
            "the application is a tornado.web.Application, which is not WSGI: serve it with "
            "tornado.httpserver.HTTPServer",
            4,
        )
    wrapped: Callable[..., Any] = getattr(app, "wsgi_application", app)
    return wrapped


HOST = Host(prepare=_prepare, serve=_serve, socket=socket.socket, adapt=_adapt)
