"""The master process: opens what workers share, forks them, and does what its arbiter decides."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oxicorn
from oxicorn import _oxicorn, application, figures, listening, log_setup, titles, worker
from oxicorn.arbiter_methods import ArbiterMethods
from oxicorn.config import Config
from oxicorn.errors import AppImportError, CannotStart, Error, reason_of
from oxicorn.generation import Generation, identity, or_cannot_start
from oxicorn.logger import StartLog
from oxicorn.service import Notifier
from oxicorn.signals import SignalPipe
from oxicorn.starting import Surroundings
from oxicorn.upgrade import Start
from oxicorn.worker import App, Worker


class Server(ArbiterMethods):
    """The master as hooks see it."""

    def __init__(
        self,
        settings: _oxicorn.Settings,
        reload: Callable[[], _oxicorn.Settings],
        *,
        start: Start | None = None,
        app: Callable[..., Any] | None = None,
        load: Callable[[Any], Callable[..., Any]] | None = None,
        program: Any = None,
    ) -> None:
        self.cfg: Config = program.cfg if program else Config.of(settings)
        self.log: Any = StartLog()
        self.pid = os.getpid()
        self.master_pid = start.predecessor if start else 0
        self.reexec_pid = 0
        self._number = settings.workers
        self.worker_age = 0
        self.WORKERS: dict[int, Worker] = {}
        self._reread = reload
        self._load = load or (lambda settings: application.load_for(settings, Path.cwd()))
        self._program = program
        """The program that embeds the server."""
        self.app = program or App(self.cfg, self._load, app)
        # How applications find out what they run under before there is a request.
        os.environ["SERVER_SOFTWARE"] = f"oxicorn/{oxicorn.__version__}"
        self._start_again = start
        listeners = start.listeners if start else {}
        self._handed_over = listening.handed_over() or [
            address for address in listeners if address.startswith("fd://")
        ]
        self._notifier = Notifier()
        self._carrier = log_setup.Carrier(self)
        self._figures = figures.Figures()
        self._halted: int | None = None
        """The exit code that a hook asked for."""
        self._generations: dict[int, Generation] = {}
        self._newest = 1
        self._pidfile: _oxicorn.Pidfile | None = None

    @property
    def LISTENERS(self) -> list[_oxicorn.Listener]:
        """The listening sockets."""
        return list(self._generations[self._newest].listeners.values())

    @property
    def address(self) -> list[tuple[str, int] | str | int]:
        """Where it is to listen, as the settings say."""
        return self.cfg.address

    @property
    def proc_name(self) -> str:
        """The name that the titles of the processes have."""
        return self.cfg.proc_name

    @property
    def timeout(self) -> float:
        """Seconds of silence after which a worker is replaced."""
        return float(self.cfg.timeout)

    def kill_worker(self, pid: int, sig: int) -> None:
        """Sends a worker a signal; one that is gone needs none."""
        if pid in self.WORKERS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def kill_workers(self, sig: int) -> None:
        """Sends all workers a signal."""
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)

    def call(self, hook: str, *args: object) -> None:
        """Calls a hook if there is one."""
        function = self._settings.hook(hook)
        if function is not None:
            function(*args)

    def run(self) -> int:
        """Serves until told to stop; gives the exit code."""
        try:
            self._start()
        except CannotStart as reason:
            if str(reason):
                self.log.error("%s", reason)
            self._clean_up()
            return 1
        except KeyboardInterrupt:
            self._clean_up()
            return 0
        except Exception:
            self.log.exception("Exception at the start")
            self._clean_up()
            return 1
        except BaseException as end:
            code, why = _wish(end)
            if why:
                self.log.error("Reason: %s", why)
            self._clean_up()
            return code
        code = self._loop()
        self._try_call("on_exit", self)
        self._clean_up()
        return code

    @property
    def _settings(self) -> _oxicorn.Settings:
        return self.cfg.resolve()

    # Starting.

    def _start(self) -> None:
        settings = self._settings
        self.log = or_cannot_start(log_setup.install, self.cfg)
        titles.set_title("master", settings, is_second=bool(self.master_pid))
        self.log.info("Starting oxicorn %s", oxicorn.__version__)
        self.call("nworkers_changed", self, settings.workers, None)
        first = Generation(self.cfg, {}, self.app, Surroundings.of(settings))
        self._generations[1] = first
        self._preload(settings)
        if settings.pidfile:
            # The real name is the predecessor's as long as that lives.
            path = settings.pidfile + (".2" if self.master_pid else "")
            running = _oxicorn.Pidfile.running(path)
            if running is not None:
                text = f"Already running on PID {running} (or pid file '{path}' is stale)"
                raise CannotStart(text)
            self._pidfile = or_cannot_start(_oxicorn.Pidfile, path)
        self.call("on_starting", self)
        settings = self._settings  # the hook may have changed some
        self._signals = SignalPipe()
        if settings.user or settings.group:
            or_cannot_start(_oxicorn.give_logs_to, *identity(settings))
        self._bind(first, self._inherited())
        self.log.info("Listening at: %s (%s)", first.where(first.listeners), self.pid)
        self.log.info("Using worker: %s", self.cfg.worker_class_str)
        self.call("when_ready", self)

    def _preload(self, settings: Any) -> None:
        if self.app.callable is not None or not settings.preload_app:
            return
        if settings.reload:
            self.log.warning("preload_app has no effect: with reload, workers load the code")
            return
        try:
            self.app.wsgi()
        except AppImportError as error:
            self.log.error("%s", _full(error))
            raise CannotStart("") from error

    def _bind(self, generation: Generation, opened: dict[str, _oxicorn.Listener]) -> None:
        addresses = self._handed_over or [str(address) for address in generation.settings.bind]
        generation.bind(addresses, opened, self.log, self._signals.is_told_to_stop)

    def _inherited(self) -> dict[str, _oxicorn.Listener]:
        """The listeners that a predecessor hands over."""
        found = {}
        handed = self._start_again.listeners if self._start_again else {}
        for address, number in handed.items():
            found[address] = or_cannot_start(listening.adopt, number)
        return found

    # Running.

    def _loop(self) -> int:
        signals, wakeup = self._signals.reader, self._signals.writer
        life, beat = os.pipe2(os.O_CLOEXEC)
        self._master = _oxicorn.Master(*_policy(self._settings), signals)
        self._look_after_credentials()
        if self.master_pid:
            self._master.follow(self.master_pid)
        self._be_reminded()
        own = (signals, wakeup, beat)
        while True:
            self._figures.count_workers(len(self.WORKERS), self.log)
            what, first, second = self._master.next()
            self._carrier.deliver()
            try:
                code = self._perform(what, first, second, life, own)
            except Exception:
                raise
            except BaseException as end:
                self._halt(end)
                continue
            if code is not None:
                return code if self._halted is None else self._halted

    def _perform(
        self, what: str, first: int, second: int, life: int, own: tuple[int, ...]
    ) -> int | None:
        """Does what the loop says; gives the exit code at the end."""
        if what == "spawn":
            self._spawn(first, second, life, own)
        elif what == "outgoing":
            if first in self.WORKERS:
                # What it had to itself, such as a number of a hook's, is free for its replacement.
                self.WORKERS[first]._alive = False
        elif what in ("reaped", "unbooted"):
            gone = self.WORKERS.pop(second, None)
            if gone is not None and what == "reaped":
                self._try_call("child_exit", self, gone)
        elif what == "workers":
            self._number = second
            self._try_call("nworkers_changed", self, second, first)
        elif what == "reload":
            self._notifier.reloading()
            if not self._reload():
                self._notifier.ready(self._status())
        elif what in ("settle", "abandon"):
            self._keep(first)
            if what == "abandon":
                self._return_to(self._generations[first])
                self._be_reminded()
                self.log = log_setup.go_back(self.cfg, self.log)
            self._notifier.ready(self._status())
        elif what == "reopen":
            log_setup.reopen(self._settings, self.log)
        elif what == "upgrade":
            self._upgrade(own)
        elif what == "promoted":
            self._promote()
        elif what == "successor gone":
            self.reexec_pid = 0
            self.log.error("The new master (pid:%s) ended; this one serves on", first)
        elif what == "remind":
            self._notifier.alive()
            if self._settings.enable_backlog_metric:
                figures.tell_backlog(self.LISTENERS, self.log)
        elif what == "close":
            self._notifier.stopping()
            self._keep(0)
        elif what == "stop":
            return first
        return None

    def _halt(self, end: BaseException) -> None:
        """A hook wants the server to end: as after TERM, with the code that it names."""
        if isinstance(end, KeyboardInterrupt):
            return  # a signal waits to be read
        self._halted, reason = _wish(end)
        if reason:
            self.log.error("Reason: %s", reason)
        os.kill(os.getpid(), signal.SIGTERM)

    def _be_reminded(self) -> None:
        """Has the loop say `remind` as often as somebody wants to hear something."""
        wanted = [self._notifier.watchdog, 1.0 if self._settings.enable_backlog_metric else 0.0]
        self._master.remind(min(filter(None, wanted), default=0.0))

    def _spawn(self, age: int, number: int, life: int, own: tuple[int, ...]) -> None:
        generation = self._generations[number]
        self.worker_age = age
        child = Worker(age, generation.cfg, self.log)
        child.app = generation.app
        child.sockets = list(generation.listeners.values())
        try:
            self._try_call("pre_fork", self, child)
        except BaseException:
            self._master.fork_failed(age)
            raise
        try:
            slot = self._master.claim(age, number)
            stacks = os.memfd_create("oxicorn-stacks")
            try:
                notes, say = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                os.close(stacks)
                raise
        except (OSError, RuntimeError) as error:
            self._fork_failed(age, error)
            return
        # No signal may find the child with the master's pipe.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for descriptor in (stacks, notes, say):
                os.close(descriptor)
            self._fork_failed(age, error)
            return
        if pid == 0:
            code = 3
            try:
                self._become(number, (*own, notes))
                code = worker.run(
                    self,
                    child,
                    slot=slot,
                    passage=generation.passage,
                    credentials=generation.credentials,
                    notes=say,
                    stacks=stacks,
                    life=life,
                    mask=mask,
                )
            except BaseException:
                self.log.exception("Exception in worker process")
            finally:
                worker.leave(self, child, code)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(say)
        child.pid = pid
        self.WORKERS[pid] = child
        self._master.forked(age, pid, notes, stacks)
        os.close(notes)
        os.close(stacks)

    def _fork_failed(self, age: int, error: Exception) -> None:
        self.log.error("Cannot fork a worker: %s", reason_of(error))
        self._master.fork_failed(age)

    def _become(self, number: int, foreign: tuple[int, ...]) -> None:
        """In the child: closes what it must not have."""
        generation = self._generations[number]
        if number != self._newest:
            generation.surroundings.enter()
        self._master.let_go()
        for descriptor in foreign:
            os.close(descriptor)
        generation.close_what_is_not_its(self._generations.values())
        self.cfg = generation.cfg

    def _status(self) -> str:
        newest = self._generations[self._newest]
        return "Serving at " + newest.where(newest.listeners)

    def _upgrade(self, own: tuple[int, ...]) -> None:
        """USR2: starts the program anew beside this one, on the same sockets."""
        start = self._start_again
        if start is None:
            self.log.warning("Signal usr2 ignored: the server is part of another program")
            return
        if self.reexec_pid or self.master_pid:
            what = "a child" if self.reexec_pid else "a parent"
            pid = self.reexec_pid or self.master_pid
            self.log.warning("Signal usr2 ignored: there is %s master (pid:%s)", what, pid)
            return
        generation = self._generations[self._newest]
        numbers = {name: each.fileno() for name, each in generation.listeners.items()}
        try:
            pid = start.fork(numbers, own, lambda: self.call("pre_exec", self), self.log)
        except OSError as error:
            self.log.error("Cannot fork a new master: %s", reason_of(error))
            return
        self.reexec_pid = pid
        self._master.await_successor(pid)
        self.log.info("Started a new master with pid: %s", pid)

    def _promote(self) -> None:
        """The predecessor is gone: everything is ours now."""
        self.log.info("Master has been promoted.")
        self.master_pid = 0
        titles.set_title("master", self._settings)
        for listener in self.LISTENERS:
            listener.own_path()
        if self._pidfile is not None:
            self._pidfile.remove()
            self._pidfile = None
            try:
                self._pidfile = _oxicorn.Pidfile(self._settings.pidfile)
            except OSError as error:
                self.log.error("%s", reason_of(error))
        self._notifier.ready(self._status())

    def _reload(self) -> bool:
        """HUP: new settings, and with them a new set of workers. What is wrong changes nothing."""
        self.log.info("Hang up: Master")
        before = self._generations[self._newest]
        opened: dict[str, _oxicorn.Listener] = {}
        log = None
        try:
            settings = self._reread()
            cfg = self._program.cfg if self._program else Config.of(settings)
            app = self._program or App(cfg, self._load, before.app.callable)
            generation = Generation(cfg, opened, app, Surroundings.of(settings))
            self._bind(generation, before.listeners)
            log = self.log
            self.log = log_setup.install(cfg)
            self.cfg, self.app = cfg, app
            self.call("on_reload", self)
        except BaseException as error:
            self._return_to(before)
            if log is not None:
                self.log = log_setup.go_back(before.cfg, log)
            for address in opened.keys() - before.listeners.keys():
                opened[address].unlink()
            if not isinstance(error, Exception):
                raise  # the server is to end
            self._report_reload(error)
            return False
        added = generation.listeners.keys() - before.listeners.keys()
        if added:
            self.log.info("Listening at: %s (%s)", generation.where(sorted(added)), self.pid)
        self._newest += 1
        self._generations[self._newest] = generation
        self._look_after_credentials()
        self._master.reloaded(*_policy(generation.settings))
        self._be_reminded()
        return True

    def _return_to(self, generation: Generation) -> None:
        """Takes the settings and surroundings of these workers again."""
        self.cfg, self.app = generation.cfg, generation.app
        if self._program:
            self._program.cfg = generation.cfg
        try:
            generation.surroundings.enter()
        except OSError as error:
            self.log.error("Cannot go back to %s: %s", generation.surroundings.directory, error)

    def _report_reload(self, error: Exception) -> None:
        if isinstance(error, Error):
            self.log.error("Reload failed, the old settings stay: %s", _full(error))
        elif isinstance(error, (CannotStart, _oxicorn.SettingError, OSError, ValueError)):
            self.log.error("Reload failed, the old settings stay: %s", reason_of(error))
        else:
            self.log.exception("Reload failed; the old settings stay")

    def _keep(self, number: int) -> None:
        """Forgets all generations but one, and closes what only they had."""
        kept = self._generations.get(number)
        stays = set(kept.listeners.values()) if kept else set()
        for generation in self._generations.values():
            for listener in set(generation.listeners.values()) - stays:
                if self.reexec_pid:
                    listener.close()  # the new master goes on there
                else:
                    listener.unlink()
            if generation is not kept and generation.passage is not None:
                generation.passage.close()
            if kept is None:
                generation.listeners.clear()
        if kept:
            self._generations = {number: kept, self._newest: kept}
            self.cfg, self.app = kept.cfg, kept.app
            self._look_after_credentials()

    def _look_after_credentials(self) -> None:
        """Has the files of all generations that live looked at."""
        credentials = (generation.credentials for generation in self._generations.values())
        self._master.look_after([each for each in credentials if each is not None])

    # Ending.

    def _try_call(self, hook: str, *args: object) -> None:
        try:
            self.call(hook, *args)
        except Exception:
            self.log.exception("Exception in %s", hook)

    def _clean_up(self) -> None:
        self._keep(0)
        if self._pidfile is not None:
            self._pidfile.remove()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()


def run(
    settings: Any,
    reload: Callable[[], Any],
    *,
    start: Start | None = None,
    app: Callable[..., Any] | None = None,
    load: Callable[[Any], Callable[..., Any]] | None = None,
    program: Any = None,
) -> int:
    """Serves with these settings until told to stop; gives the exit code.

    `reload` reads the settings again, for HUP; `start` is how the program can be started again, if
    it can. `app` is the application, if it need not be loaded, `load` loads it, and `program` is
    what hooks find as `worker.app`.
    """
    server = Server(settings, reload, start=start, app=app, load=load, program=program)
    return server.run()


def _policy(settings: Any) -> tuple[int, float, float, float, bool]:
    return (
        settings.workers,
        float(settings.timeout),
        float(settings.boot_timeout),
        float(settings.graceful_timeout),
        settings.daemon,
    )


def _wish(end: BaseException) -> tuple[int, str]:
    """The exit code and the reason of a hook that ends the server: `HaltServer`, `sys.exit`."""
    if isinstance(end, SystemExit):
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return code, end.code if isinstance(end.code, str) else ""
    return int(getattr(end, "exit_status", 1)), str(getattr(end, "reason", "") or repr(end))


def _full(error: Error) -> str:
    return "\n".join(filter(None, (str(error), error.details.rstrip())))
