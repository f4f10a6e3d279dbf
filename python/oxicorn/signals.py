"""The master's signals, each a byte on a pipe that its loop reads."""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["SIGNALS", "SignalPipe"]

SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCHLD,
)


class SignalPipe:
    """From when it is made signals wait in it until somebody reads `reader`."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, _nothing)

    def is_told_to_stop(self) -> bool:
        """Whether a signal that ends the server has come; it and the others still wait."""
        try:
            waiting = os.read(self.reader, 4096)
        except BlockingIOError:
            return False
        os.write(self.writer, waiting)
        return not {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}.isdisjoint(waiting)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The byte on the pipe is what counts."""
