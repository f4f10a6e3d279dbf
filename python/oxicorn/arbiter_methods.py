"""What hooks may ask of the master, by the names of gunicorn's Arbiter."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oxicorn.config import Config

_KEPT = "the master starts and ends workers itself, as many as there are to be; to change that"
_ONE_MORE = "os.kill(server.pid, signal.SIGTTIN) asks for one more, SIGTTOU for one less"

# What cannot be done for a hook, and what can be done instead.
_INSTEAD = {
    "manage_workers": f"{_KEPT}, {_ONE_MORE}",
    "murder_workers": "server.kill_worker(pid, signal.SIGKILL) ends one worker",
    "reap_workers": "workers are reaped as they end; the hook child_exit hears of each",
    "spawn_worker": f"{_KEPT}, {_ONE_MORE}",
    "spawn_workers": f"{_KEPT}, {_ONE_MORE}",
}


class ArbiterMethods:
    """The part of `oxicorn.master.Server` that is there for hooks alone."""

    pid: int
    log: Any
    cfg: Config

    _number: int
    _handed_over: list[str]

    def __getattr__(self, name: str) -> Any:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in _INSTEAD:
            text = f"server.{name} is not available: {_INSTEAD[name]}"
        raise AttributeError(text)

    @property
    def num_workers(self) -> int:
        """How many workers there are to be."""
        return self._number

    @num_workers.setter
    def num_workers(self, number: int) -> None:
        raise AttributeError(
            f"server.num_workers cannot be set: {_ONE_MORE}, and "
            "server.cfg.set('workers', N) in on_starting says how many there are at first"
        )

    @property
    def worker_class(self) -> type:
        """The class of `worker`."""
        return self.cfg.worker_class

    @property
    def systemd(self) -> bool:
        """Whether the sockets were handed over by systemd."""
        return bool(self._handed_over)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Ends the server as TERM does, with this exit status, when the hook that calls it ends."""
        if reason is not None:
            self.log.info("Reason: %s", reason)
        sys.exit(exit_status)

    def stop(self, graceful: bool = True) -> None:
        """As TERM, or QUIT."""
        self._raise(signal.SIGTERM if graceful else signal.SIGQUIT)

    def reload(self) -> None:
        """As HUP: once what runs now is over."""
        self._raise(signal.SIGHUP)

    def reexec(self) -> None:
        """As USR2: once what runs now is over."""
        self._raise(signal.SIGUSR2)

    def wakeup(self) -> None:
        """Nothing: the master waits for nothing that a hook can bring."""

    def _raise(self, number: signal.Signals) -> None:
        # A worker's copy asks the master too.
        os.kill(self.pid, number)
