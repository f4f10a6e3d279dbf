"""`worker_class = "eventlet"`: each request in a green thread, turns in eventlet's hub."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
from eventlet import hubs, patcher
from eventlet.event import Event
from eventlet.greenio import GreenSocket
from eventlet.greenpool import GreenPool

from oxicorn._oxicorn import LoopHandle, ReadyRequest
from oxicorn.workers import TAKING_TURNS, Host
from oxicorn.workers.driver import Driver

__all__ = ["HOST", "GreenDriver", "Input", "Socket", "running", "wait"]


class _TimeIsOver(Exception):
    """Ends a wait; never seen outside."""


def wait(fd: int, writing: bool, seconds: float) -> None:
    """Lets other green threads run until `fd` is ready or the time is over; -1 waits for the
    time.
    """
    if eventlet.getcurrent() is hubs.get_hub().greenlet:
        # What runs in the hub cannot be left: it stops everything, as it asked.
        poll = patcher.original("select").poll()
        if fd >= 0:
            poll.register(fd, 4 if writing else 1)
        poll.poll(seconds * 1000)
    elif fd < 0:
        eventlet.sleep(seconds)
    else:
        with contextlib.suppress(_TimeIsOver):
            hubs.trampoline(
                fd, read=not writing, write=writing, timeout=seconds, timeout_exc=_TimeIsOver
            )


def running() -> object | None:
    """The green thread that runs, into which an error can be thrown; none in the hub."""
    current = eventlet.getcurrent()
    return None if current is hubs.get_hub().greenlet else current


class Socket(GreenSocket):  # type: ignore[misc]
    """What an application takes a connection over by."""

    def __init__(self, family: Any = None, *, fileno: int | None = None, **given: Any) -> None:
        if fileno is None:
            super().__init__(family, **given)
            return
        # Green threads that still wait for the number's last owner are not this one's.
        hubs.notify_opened(fileno)
        super().__init__(patcher.original("socket").socket(fileno=fileno))

    def send(self, data: Any, flags: int = 0) -> int:
        """Sends all of it, as a socket that blocks does and libraries count on."""
        rest = memoryview(data).cast("B")
        sent = int(super().send(rest, flags))
        while sent < len(rest) and not self.act_non_blocking:
            sent += super().send(rest[sent:], flags)
        return sent


class Input:
    """`eventlet.input`: the request's body, with what libraries look for beside it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._body = environ["wsgi.input"]
        self._socket = environ.get("gunicorn.socket")

    def get_socket(self) -> Any:
        """The socket by which the application takes the connection over, for a WebSocket."""
        if self._socket is None:
            raise RuntimeError("this request does not ask for a WebSocket: it has no socket")
        return self._socket

    def send_hundred_continue_response(self) -> None:
        """Does nothing: it is sent when the body is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Any:
        return iter(self._body)


class GreenDriver(Driver):
    """A driver on the hub of the thread that makes it.

    Requests run in a pool's green threads, WebSockets beside it, however many requests there are.
    """

    def __init__(self, handle: LoopHandle, pool: Any, over: Callable[[], object]) -> None:
        super().__init__(handle, over)
        self._pool = pool
        self._hub = hubs.get_hub()
        self._listener: Any = None
        self._timer: Any = None

    def watch(self, fd: int) -> None:
        turn, ignore = (lambda fd: self.turn()), (lambda *_: None)
        self._listener = self._hub.add(self._hub.READ, fd, turn, ignore, ignore)

    def turn_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._hub.schedule_call_global(seconds, self.turn_when_due)

    def unwatch(self) -> None:
        self._hub.remove(self._listener)
        self._timer.cancel()

    def is_full(self) -> bool:
        return bool(self._pool.free() <= 0)

    def start(self, request: ReadyRequest) -> None:
        if request.is_for_websocket:
            eventlet.spawn(self.run, request)
            return
        # After the pool has heard of the end, as it was linked first.
        self._pool.spawn(self.run, request).link(lambda thread: self.has_room())

    def fail(self, where: object) -> None:
        traceback.print_exc()


def _prepare() -> None:
    eventlet.monkey_patch()
    # A hub that the master had, for an application loaded there, is not this process's.
    hubs.use_hub()


def _serve(handle: LoopHandle, settings: Any, deliver: Callable[[], object] | None) -> int:
    over = Event()
    driver = GreenDriver(handle, GreenPool(max(settings.worker_connections, 1)), over.send)
    return driver.serve(over.wait, deliver and partial(eventlet.spawn, deliver))


def _adapt(app: Callable[..., Any]) -> Callable[..., Any]:
    """The application, with what eventlet's own libraries for WebSockets look for."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "gunicorn.socket" in environ:
            environ["eventlet.input"] = Input(environ)
        return app(environ, start_response)

    return call


HOST = Host(
    prepare=_prepare,
    serve=_serve,
    wait=wait,
    socket=Socket,
    running=running,
    adapt=_adapt,
    environ=TAKING_TURNS,
)
