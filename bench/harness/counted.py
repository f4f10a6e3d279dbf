"""What a load generator counted in one round."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .process import Failed


@dataclass(frozen=True)
class Counted:
    requests: int
    """All answered rightly."""
    per_second: float
    p50_ms: float
    p99_ms: float


def find(pattern: str, text: str) -> re.Match[str]:
    """Where it is in what a generator printed, which is a failure where it is not."""
    match = re.search(pattern, text, re.MULTILINE)
    if not match:
        raise Failed(f"the generator does not say {pattern!r}: {text}")
    return match


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that this per cent of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered) / 100) - 1)]
