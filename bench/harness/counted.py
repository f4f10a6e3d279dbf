"""What a load generator counted in one round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    requests: int
    """All answered rightly."""
    per_second: float
    p50_ms: float
    p99_ms: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that this per cent of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered) / 100) - 1)]
