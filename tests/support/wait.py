"""Waiting for a condition instead of for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a wait may take: far above what is needed, as machines can be very slow."""


def eventually(condition: Callable[[], T], within: float = PATIENCE) -> T:
    """Calls `condition` until it gives something true, and gives that; fails after `within` s."""
    give_up = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up:
            raise AssertionError(f"not true within {within:.0f} s; the last value was {result!r}")
        time.sleep(0.02)
