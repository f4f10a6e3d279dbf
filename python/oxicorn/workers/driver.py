"""What all event loops have in common: turns of the engine as their callbacks, requests as theirs.

A subclass knows one library: how to watch a descriptor, to be called later, and to start a request
in a greenlet, a thread or right there. Everything but `run` happens on the loop's thread.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from oxicorn._oxicorn import LoopHandle, ReadyRequest, has_messages

__all__ = ["Driver"]


class Driver(ABC):
    """Drives one `LoopHandle`, from `begin` until it is over; then `over()` is called."""

    def __init__(self, handle: LoopHandle, over: Callable[[], object]) -> None:
        self.handle, self._over = handle, over
        self.after_turn: Callable[[], object] | None = None
        """Called after each round of the engine."""
        self.is_open = True
        self._held = False
        self._due = math.inf

    @abstractmethod
    def watch(self, fd: int) -> None:
        """Has `turn` called whenever the descriptor is readable."""

    @abstractmethod
    def turn_within(self, seconds: float) -> None:
        """Has `turn_when_due` called when the time is over, in place of an earlier such wish."""

    @abstractmethod
    def unwatch(self) -> None:
        """Gives up both."""

    @abstractmethod
    def start(self, request: ReadyRequest) -> None:
        """Has `run` called with the request, now or soon."""

    @abstractmethod
    def fail(self, where: object) -> None:
        """Gives the exception at hand, which is not the application's, to the loop."""

    def is_full(self) -> bool:
        """Whether requests have to wait; `has_room` is to be called when that has changed."""
        return False

    def next(self) -> ReadyRequest | None:
        """Takes the oldest request that may start now."""
        return self.handle.next()

    def begin(self) -> None:
        """Serves from now on."""
        self.watch(self.handle.fileno())
        self._wait_until_due()

    def serve(self, wait: Callable[[], object], deliver: Callable[[], object] | None) -> int:
        """Serves until it is over, which `wait` waits for; gives the signal that ended it.

        `deliver`, if there is one, is called for messages of the engine.
        """
        if deliver is not None:
            self.after_turn = lambda: has_messages() and deliver()
        self.begin()
        try:
            wait()
        finally:
            self.close()
        return self.handle.ended_by

    def close(self) -> None:
        """Gives up the loop's watchers; nothing is served any more."""
        if self.is_open:
            self.is_open = False
            self.unwatch()

    def turn(self) -> None:
        """One round of the engine, and a start for the requests that are complete."""
        if not self.is_open:
            return
        self.handle.turn()
        self.handle.interrupt()
        self.dispatch()
        if self.after_turn is not None:
            self.after_turn()
        if self.handle.is_over:
            self.close()
            self._over()
        else:
            self._wait_until_due()

    def turn_when_due(self) -> None:
        """The same, when the time is over."""
        self._due = math.inf
        self.turn()

    def has_room(self) -> None:
        """Starts requests that had to wait."""
        if self._held and self.is_open:
            self.dispatch()

    def dispatch(self) -> None:
        """Starts the requests that may start now."""
        while not (full := self.is_full()):
            request = self.next()
            if request is None:
                break
            try:
                self.start(request)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self.fail(self)
        self._held = full

    def run(self, request: ReadyRequest) -> None:
        """Runs a request to the end of its response."""
        try:
            self.handle.run(request)
        except (KeyboardInterrupt, SystemExit):
            raise  # for the program: it only came while the request ran
        except BaseException:
            self.fail(request)

    def _wait_until_due(self) -> None:
        # Loops round up to their own reading of the clock, and take 0 for at once.
        seconds = max(self.handle.next_deadline(), 0.001)
        due = time.monotonic() + seconds
        # A turn that comes too early costs less than moving the timer after each.
        if due < self._due:
            self._due = due
            self.turn_within(seconds)
