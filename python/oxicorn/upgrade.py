"""Another program in the place of the running one, on the same sockets.

The old master starts the new one with its own command line and environment, and with two variables
more: OXICORN_PID, the old master's process id, and OXICORN_FD, the descriptors of its listeners by
the addresses of the settings, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

_PID, _FD = "OXICORN_PID", "OXICORN_FD"
_OLD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID")


@dataclass
class Start:
    """How this program was started, so that it can be started again."""

    environ: dict[str, str]
    directory: str
    argv: list[str] = field(default_factory=lambda: [sys.executable, *sys.orig_argv[1:]])
    predecessor: int = 0
    """The master that started this one to take its place, as long as it lives."""
    listeners: dict[str, int] = field(default_factory=dict)
    """What it hands over: descriptors by address."""

    @classmethod
    def take(cls) -> Start:
        """Looks around; what a predecessor said is taken out of the environment."""
        pid, listeners = os.environ.pop(_PID, ""), os.environ.pop(_FD, "")
        start = cls(dict(os.environ), _directory())
        if listeners:
            start.listeners = {str(name): int(fd) for name, fd in json.loads(listeners).items()}
        if pid == str(os.getppid()):
            start.predecessor = int(pid)
        return start

    def fork(
        self,
        listeners: Mapping[str, int],
        own: Iterable[int],
        pre_exec: Callable[[], None],
        log: Any,
    ) -> int:
        """Starts the program anew in a child, without these descriptors; gives the child's number.

        Raises `OSError` when there can be none.
        """
        # No signal may find the child with the master's pipe.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._begin(listeners, own, pre_exec, mask, log)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    def _begin(
        self,
        listeners: Mapping[str, int],
        own: Iterable[int],
        pre_exec: Callable[[], None],
        mask: Iterable[int],
        log: Any,
    ) -> NoReturn:
        """In the child."""
        try:
            signal.set_wakeup_fd(-1)
            for descriptor in own:
                os.close(descriptor)
            pre_exec()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._execute(listeners)
        except BaseException:
            log.exception("Cannot start a new master")
        finally:
            os._exit(1)

    def _execute(self, listeners: Mapping[str, int]) -> None:
        """Becomes a new master with these listeners; it returns only by an `OSError`."""
        for number in listeners.values():
            os.set_inheritable(number, True)
        os.chdir(self.directory)
        # What a service manager said of one process number now holds for another.
        kept = {name: text for name, text in self.environ.items() if name not in _OLD}
        handed = {_PID: str(os.getppid()), _FD: json.dumps(dict(listeners))}
        os.execve(self.argv[0], self.argv, {**kept, **handed})


def _directory() -> str:
    """The current directory, by the name it was entered by: a link may lead elsewhere later."""
    here = os.getcwd()
    named = os.environ.get("PWD", "")
    try:
        return named if os.path.samefile(named, here) else here
    except OSError:
        return here
