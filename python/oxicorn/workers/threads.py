"""Threads beside an event loop that run requests."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["Threads"]


class Threads(Executor):
    """An executor whose threads, unlike those of a `ThreadPoolExecutor`, never keep a program from
    ending: a response without end would.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most or min(32, (os.cpu_count() or 1) + 4)
        """Threads at a time; each is started when it is first needed."""
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._started = self._idle = 0
        self._over = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Has a thread call the function."""
        future: Future[Any] = Future()
        with self._changed:
            if self._over:
                raise RuntimeError("the threads were shut down")
            self._jobs.append((future, lambda: fn(*args, **kwargs)))
            # Those that were woken and have not taken their job yet count as idle.
            if len(self._jobs) <= self._idle:
                self._changed.notify()
            elif self._started < self.most:
                self._started += 1
                name = f"oxicorn-request-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends each thread when there is nothing left to do; never waits for them."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs:
                    if self._over:
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                future, call = self._jobs.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)
            # Nothing of a request is kept alive while the thread waits for the next one.
            del future, call
