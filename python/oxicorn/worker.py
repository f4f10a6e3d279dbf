"""A worker process: what happens between the fork and the end."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from oxicorn import _oxicorn, log_setup, reloader, request_hooks, titles, workers
from oxicorn.config import Config
from oxicorn.errors import AppImportError
from oxicorn.logger import tell_of_failure
from oxicorn.reloader import Reloader
from oxicorn.script_name import UnderPrefix

if TYPE_CHECKING:
    from oxicorn.master import Server

# What a worker says to its master on its private pipe; `master/watch.rs` knows the same letters.
_READY = b"+"
_RECYCLE = b"R"
_BOOT_FAILED = b"3"
_APP_MISSING = b"4"

# Has the stacks written without the interpreter. SIGSTKFLT: the kernel never sends it.
_SHOW_STACKS = 16

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# With a handler they neither end the worker nor stay ignored in programs that it starts.
_HARMLESS = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
)


class App:
    """The application as hooks reach it: `worker.app`."""

    def __init__(
        self,
        cfg: Config,
        load: Callable[[Any], Callable[..., Any]],
        callable: Callable[..., Any] | None,
    ) -> None:
        self.cfg = cfg
        self.callable = callable
        self._load = load

    def wsgi(self) -> Callable[..., Any]:
        """The WSGI application; it is loaded when it is asked for first."""
        if self.callable is None:
            self.callable = self._load(self.cfg.resolve())
        return self.callable


class Heartbeat:
    """The sign of life of a worker, which is a file in gunicorn: `worker.tmp`."""

    # It does not know its worker: a circle would keep the worker's logs open in the master.
    slot: _oxicorn.Slot | None = None

    def notify(self) -> None:
        """Says that the worker is alive: a request that knows it takes long may do it."""
        if self.slot is not None:
            self.slot.notify()

    def last_update(self) -> float:
        """When that was said last, in seconds of the monotonic clock; 0 in other processes."""
        return self.slot.last_update if self.slot is not None else 0.0


class Worker:
    """One worker as hooks see it, in the master and in its own process."""

    def __init__(self, age: int, cfg: Config, log: Any) -> None:
        self.age = age
        self.pid: int | str = "[booting]"
        self.ppid = os.getpid()
        self.cfg = cfg
        self.log = log
        self.timeout = cfg.timeout
        self.booted = False
        self.aborted = False
        self.sockets: Sequence[Any] = ()
        self.app: Any = None
        self.wsgi: Any = None
        self.tmp = Heartbeat()
        self._alive = True
        self._slot: _oxicorn.Slot | None = None
        self._notes = -1
        self._carrier: log_setup.Carrier | None = None

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    def notify(self) -> None:
        """Says that the worker is alive, for `timeout`."""
        self.tmp.notify()

    @property
    def nr(self) -> int:
        """Requests so far."""
        return self._slot.requests if self._slot else 0

    @property
    def alive(self) -> bool:
        """False asks for a replacement, which boots before this worker stops."""
        return self._alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        if self._alive and not alive:
            self._tell(_RECYCLE)
        self._alive = alive

    def _tell(self, note: bytes) -> None:
        # A master that is gone needs to hear nothing.
        with contextlib.suppress(OSError):
            os.write(self._notes, note)


def run(
    server: Server,
    worker: Worker,
    *,
    slot: _oxicorn.Slot,
    passage: _oxicorn.Passage | None,
    credentials: _oxicorn.Credentials | None,
    notes: int,
    stacks: int,
    life: int,
    mask: set[int | signal.Signals],
) -> int:
    """Serves until told to stop; gives the exit code. All signals are blocked when it is called.

    `passage` is shared with its siblings, `credentials` are for TLS, `notes` is the private pipe to
    the master, `stacks` the memory in which the master finds the stacks of this process, `life` a
    pipe that ends when the master does, `mask` the signals to be blocked from now on.
    """
    worker.pid = os.getpid()
    worker._slot = worker.tmp.slot = slot
    worker._notes = notes
    signals, tell = _take_over_signals(server, worker, stacks, mask)
    worker.log.info("Booting worker with pid: %s", worker.pid)
    began = time.time_ns()
    try:
        server.call("post_fork", server, worker)
        settings = worker.cfg.resolve()
        watched = list(settings.reload_extra_files)
        _oxicorn.assume_identity(settings.user, settings.group, settings.initgroups)
        # After the change of user, which makes the kernel forget it.
        _oxicorn.follow_parent()
        titles.set_title("worker", settings, is_second=bool(server.master_pid))
        worker.log.close_on_exec()
        if os.getppid() != worker.ppid:
            return 0
        host = workers.host(settings)
        if host is not None:
            host.prepare()
        worker.wsgi = _load(worker, watched)
        if prefix := os.environ.get("SCRIPT_NAME", "").rstrip("/"):
            worker.wsgi = UnderPrefix(worker.wsgi, prefix)
        server.call("post_worker_init", worker)
        flow = log_setup.flow(settings, worker.log)
        # After a loop's changes to locks and threads.
        worker._carrier = carrier = log_setup.Carrier(worker)
        descriptors = [listener.fileno() for listener in worker.sockets]
        given: dict[str, Any] = {
            "max_requests": _share(settings),
            "slot": slot,
            "credentials": credentials,
            "signal_fd": signals,
            "master_fd": life,
            "notify_fd": notes,
            "stacks_signal": _SHOW_STACKS,
            "request_hooks": request_hooks.of(worker, flow.access),
        }
        engine: _oxicorn.Engine | _oxicorn.LoopHandle
        serve: Callable[[], int]
        if host is not None:
            given.update(socket=host.socket, report=host.report, running=host.running)
            given.update(environ=host.environ)
            wsgi = host.adapt(worker.wsgi)
            handle = _oxicorn.LoopHandle(wsgi, settings, descriptors, host.wait, **given)
            deliver = carrier.deliver if any(flow) else None
            engine, serve = handle, functools.partial(host.serve, handle, settings, deliver)
        else:
            threads = _oxicorn.Engine(worker.wsgi, settings, descriptors, passage=passage, **given)
            engine, serve = threads, threads.run
            if any(flow):
                carrier.start()
        for listener in worker.sockets:
            listener.close()  # the engine has its own
        if passage is not None:
            passage.close()
    except AppImportError as error:
        if not worker.alive:
            return 0  # TERM came while the module was imported
        worker.log.error("%s", "\n".join(filter(None, (str(error), error.details.rstrip()))))
        worker._tell(_APP_MISSING if error.exit_code == 4 else _BOOT_FAILED)
        return error.exit_code
    except SystemExit as error:
        if not worker.alive:
            return 0
        worker.log.error("The application left with %r while it was loaded", error.code)
        worker._tell(_BOOT_FAILED)
        return 3
    except BaseException:
        worker.log.exception("Exception in worker process")
        worker._tell(_BOOT_FAILED)
        return 3
    for number in _STOP:
        signal.signal(number, tell)
    worker.booted = True
    worker._tell(_READY)
    changed: list[str] = []
    if settings.reload:

        def replace(name: str) -> None:
            worker.log.info("Worker reloading: %s modified", name)
            changed.append(name)
            worker.alive = False
            # What waits is for the replacement, which has the new code.
            engine.drain()

        watcher = Reloader(watched, replace, began, settings.reload_engine)
        if settings.reload_engine == "inotify" and watcher.engine != "inotify":
            worker.log.warning("reload_engine: inotify is not to be had; files are polled")
        watcher.start()
    try:
        ended_by = serve()
    except (KeyboardInterrupt, SystemExit):
        ended_by = 0  # a signal handler of the application's own
    worker._alive = False
    if changed or ended_by in (signal.SIGINT, signal.SIGQUIT):
        server.call("worker_int", worker)
    return 0


def _load(worker: Worker, watched: list[str]) -> Callable[..., Any]:
    """The application; while code is being changed, a page with the reason if there is none."""
    settings = worker.cfg.resolve()
    try:
        app: Callable[..., Any] = worker.app.wsgi()
        return app
    except AppImportError as error:
        if not settings.reload or not worker.alive:
            raise
        worker.log.error("%s", "\n".join(filter(None, (str(error), error.details.rstrip()))))
        watched += reloader.files_behind(error)
        return reloader.page_of(error)


def _share(settings: Any) -> int:
    """Requests after which this worker is replaced, or 0; not the same for all, so that not all
    of them are replaced at once."""
    if not settings.max_requests:
        return 0
    return int(settings.max_requests + random.randint(0, settings.max_requests_jitter))


def leave(server: Server, worker: Worker, code: int) -> None:
    """The end of the process, without what the master has prepared for its own."""
    worker._alive = False
    try:
        server.call("worker_exit", server, worker)
    except Exception:
        worker.log.exception("Exception in worker_exit")
    worker.log.info("Worker exiting (pid: %s)", worker.pid)
    if worker._carrier is not None:
        worker._carrier.deliver()
    # The interpreter is not taken down: threads of the engine may be inside it. What the
    # application registered for its end is done all the same.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _take_over_signals(
    server: Server, worker: Worker, stacks: int, mask: set[int | signal.Signals]
) -> tuple[int, Callable[[int, FrameType | None], None]]:
    """Makes this process's own pipe for signals; gives its end to read, and a handler that writes.

    Python itself writes to the pipe at once, wherever the main thread is. The handler does it again
    when that thread comes round: an event loop that the application runs there takes Python's
    notice away.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The one that eventlet puts in its place may not be called everywhere.
    write = os.write

    def tell(number: int, frame: FrameType | None) -> None:
        # A pipe that is full has been told.
        with contextlib.suppress(OSError):
            write(writer, bytes((number,)))

    def reopen(number: int, frame: FrameType | None) -> None:
        tell(number, frame)
        try:
            worker.log.reopen_files()
        except Exception:
            tell_of_failure("usr1")

    def leave_while_booting(number: int, frame: FrameType | None) -> None:
        worker._alive = False
        raise SystemExit(0)

    def abort(number: int, frame: FrameType | None) -> None:
        worker.aborted = True
        try:
            server.call("worker_abort", worker)
        finally:
            os._exit(1)

    for number in _STOP:
        signal.signal(number, leave_while_booting)
    for number in _HARMLESS:
        signal.signal(number, tell)
    signal.signal(signal.SIGUSR1, reopen)
    signal.signal(signal.SIGABRT, abort)
    # It writes the stacks, then lets the handler above have its turn. Not to the log: it writes
    # piece by piece, and the master has them logged as a whole.
    faulthandler.enable(stacks, all_threads=True)
    faulthandler.register(_SHOW_STACKS, stacks, all_threads=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return reader, tell
