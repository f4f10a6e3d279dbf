"""What is done in Python about a request that takes too long."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Any

__all__ = ["stack_of_greenlet", "stack_of_thread", "wake"]


def stack_of_thread(ident: int) -> str:
    """Where a thread is; empty when it is nowhere in Python."""
    return _text(sys._current_frames().get(ident))


def stack_of_greenlet(greenlet: Any) -> str:
    """Where a greenlet waits."""
    return _text(greenlet.gr_frame)


def wake(ident: int) -> None:
    """Has a worker's main thread come to an exception that was set for it, also in a call of
    Python's own that sleeps or waits: such a call runs signal handlers, and a worker has one for
    this signal. No other thread runs any.
    """
    if ident == threading.main_thread().ident:
        signal.pthread_kill(ident, signal.SIGWINCH)


def _text(frame: FrameType | None) -> str:
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
