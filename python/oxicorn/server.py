"""Serving from a program: `serve`, `Server` and `WSGIServer`.

Everything happens in the calling process, without a master: the application is called by the
thread that runs the server. Only `serve` starts a master and workers, when it is asked for what
needs them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from oxicorn import _oxicorn
from oxicorn._oxicorn import Engine, Listener, Settings
from oxicorn.keywords import HOST, PORT, bind_text, checked, need_master, read, understand, warn
from oxicorn.log_setup import release_access_log, share_logs

__all__ = ["Server", "WSGIServer", "serve"]

# The handlers that a process starts with: a program that has set others wants to keep them. Of a
# background job a shell has the interrupt ignored.
_UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler, signal.SIG_IGN)


@dataclass
class _Running:
    """One run, from the opened sockets to their end."""

    engine: Engine
    listeners: list[Listener]
    addresses: list[tuple[str, int] | str]
    pid: int = field(default_factory=os.getpid)
    thread: threading.Thread | None = None
    """The thread that `start` made."""
    over: threading.Event = field(default_factory=threading.Event)

    def unlink(self) -> None:
        """Gives up the sockets; the engine has taken its own."""
        for listener in self.listeners:
            listener.unlink()


class Server:
    """A server inside a program.

    It serves on a thread of its own between `start()` and `stop()`, or as a context manager; or on
    the calling thread in `run()`. Port 0 lets the kernel choose; `port` tells what it chose. Any
    setting that needs no master may be given by its name. A server that was stopped can be started
    again, and there may be many at a time.
    """

    def __init__(
        self, app: Callable[..., Any], host: str = HOST, port: int = PORT, **settings: Any
    ) -> None:
        app, host, port, named = understand(app, host, port, settings)
        self._app = checked(app)
        self._settings = read(host, port, named)
        wanting = need_master(named, self._settings)
        if wanting:
            raise TypeError(
                f"{', '.join(f'`{name}`' for name in wanting)}: only a master process can do that; "
                "use oxicorn.serve() or the command line"
            )
        warn(self._settings.warnings)
        # They stay open as long as this server may be started again.
        self._sockets = settings.get("sockets")
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        running = self._running
        where = ", ".join(map(self._text, running.listeners)) if running else "stopped"
        return f"<oxicorn.{type(self).__name__} {where}>"

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._running is not None and self._running.pid == os.getpid()

    @property
    def addresses(self) -> list[tuple[str, int] | str]:
        """Where it listens: host and port, or the path of a unix socket."""
        running = self._running
        if running is None:
            raise RuntimeError("the server is not running: it has no address")
        return list(running.addresses)

    @property
    def address(self) -> tuple[str, int] | str:
        """The first of `addresses`."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """The port of the first TCP address."""
        for address in self.addresses:
            if not isinstance(address, str):
                return address[1]
        raise RuntimeError("the server listens on unix sockets only: it has no port")

    @property
    def url(self) -> str:
        """The first address as log lines show it, such as `http://127.0.0.1:8000`."""
        running = self._running
        if running is None:
            raise RuntimeError("the server is not running: it has no address")
        return self._text(running.listeners[0])

    def _text(self, listener: Listener) -> str:
        settings = self._settings
        if settings.certfile is None:
            return listener.text
        return listener.text.replace("http://", "https://", 1)

    def start(self) -> None:
        """Serves on a thread of its own; connections are taken when this returns.

        Signals are left alone. Raises `OSError` when an address cannot be had.
        """
        running = self._open(None)
        running.thread = threading.Thread(
            target=self._serve, args=(running,), name="oxicorn", daemon=True
        )
        # A daemon, as a server that nobody stopped must not keep the program from ending; but
        # stopped before the interpreter is taken down under it.
        atexit.register(self._stop_at_exit)
        try:
            running.thread.start()
        except BaseException:
            self._close(running)
            raise

    def run(self) -> None:
        """Serves on the calling thread, until `stop()` is called on another one.

        On the main thread INT (Ctrl-C) and TERM end it too: TERM when what is open is finished,
        INT as soon as the application returns, a second INT with a `KeyboardInterrupt` in the
        application. A program's own handlers for them stay, and decide instead.
        """
        with _signals() as signal_fd:
            running = self._open(signal_fd)
            listening = ",".join(map(self._text, running.listeners))
            _oxicorn.log("info", f"Listening at: {listening} ({running.pid})")
            self._serve(running)

    def stop(self, graceful: bool = True, timeout: float | None = None) -> None:
        """Stops accepting, and waits for the end.

        With `graceful` what is open may be finished within `graceful_timeout`; then, or without it
        at once, connections are cut. A call of the application that goes on nevertheless is waited
        for, as a thread cannot be ended; `TimeoutError` when that takes longer than `timeout`
        seconds. From inside the application it only asks for the end. Does nothing on a server that
        is not running.
        """
        running = self._running
        # A forked child has the object, but not the threads.
        if running is None or running.pid != os.getpid():
            return
        give_up = None if timeout is None else time.monotonic() + timeout
        engine = running.engine
        if graceful:
            engine.drain()
        else:
            engine.stop()
        running.unlink()
        if engine.is_own_thread():
            return
        left = None if give_up is None else max(0.0, give_up - time.monotonic())
        if not running.over.wait(left):
            raise TimeoutError(f"the application is still running after {timeout} s")
        if running.thread is not None:
            running.thread.join()

    def _open(self, signal_fd: int | None) -> _Running:
        settings = self._settings
        with self._lock:
            if self.is_running:
                raise RuntimeError("the server is running already")
            share_logs(settings)
            with contextlib.ExitStack() as opened:
                listeners = []
                for listener in _listen(settings):
                    opened.callback(listener.unlink)
                    listeners.append(listener)
                engine = Engine(
                    self._app,
                    settings,
                    [listener.fileno() for listener in listeners],
                    signal_fd=signal_fd,
                    access_log=settings.accesslog is not None,
                )
                addresses = [_address(listener) for listener in listeners]
                opened.pop_all()
            for listener, address in zip(listeners, addresses, strict=True):
                # Only the engine's own is left, which it closes first thing at the end. A unix
                # socket has a path to be removed.
                if not isinstance(address, str):
                    listener.close()
            release_access_log(settings)
            self._running = _Running(engine, listeners, addresses)
            return self._running

    def _serve(self, running: _Running) -> None:
        try:
            running.engine.run()
            # Threads that were inside the application at the end; their clients are cut off.
            while not running.engine.is_over():
                time.sleep(0.01)
        finally:
            self._close(running)

    def _close(self, running: _Running) -> None:
        running.engine.close()
        running.unlink()
        with self._lock:
            self._running = None
        atexit.unregister(self._stop_at_exit)
        running.over.set()

    def _stop_at_exit(self) -> None:
        self.stop(graceful=False)


class WSGIServer(Server):
    """The same, made and run as other libraries' servers are:
    `WSGIServer(("", 5000), app).serve_forever()`.

    The first argument is host and port, a port, a text as `bind` takes it (`":5000"`,
    `"unix:/path"`), or a listening socket.
    """

    def __init__(
        self,
        listener: tuple[str, int] | str | int | socket.socket,
        app: Callable[..., Any],
        **settings: Any,
    ) -> None:
        super().__init__(app, bind=bind_text(listener), **settings)
        # It stays open as long as this server may be started again.
        self._listener = listener

    def serve_forever(self) -> None:
        """Serves until it is stopped; see `run`."""
        self.run()


def serve(app: Callable[..., Any], host: str = HOST, port: int = PORT, **settings: Any) -> None:
    """Serves until INT (Ctrl-C), TERM, or the end of the process.

    Any setting may be given by its name, and waitress's keywords are understood. In this process by
    itself, unless a setting needs a master (`workers=4`, `timeout`, `max_requests`, `user`, hooks,
    …): then this process becomes the master, as `oxicorn` on the command line is, and `SystemExit`
    tells of a failure.
    """
    app, host, port, named = understand(app, host, port, settings)
    values = read(host, port, named)
    wanting = need_master(named, values)
    if not wanting:
        Server(app, host, port, **named).run()
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            f"{', '.join(f'`{name}`' for name in wanting)}: a master needs the main thread"
        )
    warn(values.warnings)
    from oxicorn import master, signals

    handlers = {number: signal.getsignal(number) for number in signals.SIGNALS}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        status = master.run(values, lambda: values, app=checked(app))
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            # None: whoever set it was not Python, and cannot be asked to do it again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if status:
        sys.exit(status)


def _listen(settings: Settings) -> Iterator[Listener]:
    addresses = list(dict.fromkeys(str(address) for address in settings.bind))
    for address in addresses:
        port = address.rpartition(":")[2]
        yield Listener(
            address,
            backlog=settings.backlog,
            reuse_port=settings.reuse_port,
            # One socket for all addresses would leave nothing to a second one for IPv4.
            v6_only=f"0.0.0.0:{port}" in addresses,
            umask=settings.umask,
        )


def _address(listener: Listener) -> tuple[str, int] | str:
    with socket.socket(fileno=os.dup(listener.fileno())) as duplicate:
        name = duplicate.getsockname()
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return os.fsdecode(name)


@contextlib.contextmanager
def _signals() -> Iterator[int | None]:
    """On the main thread: a pipe on which INT and TERM arrive, unless the program has use for them.

    Nothing is decided in a handler: the engine reads the pipe, also while the application runs.
    """
    if threading.current_thread() is not threading.main_thread() or any(
        signal.getsignal(number) not in _UNTOUCHED
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    ):
        yield None
        return
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    interrupted = False

    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if number == signal.SIGINT:
            if interrupted:
                raise KeyboardInterrupt
            interrupted = True
        # Python has written it already, unless the application has changed that.
        with contextlib.suppress(OSError):
            os.write(writer, bytes((number,)))

    before = {
        number: signal.signal(number, tell)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
