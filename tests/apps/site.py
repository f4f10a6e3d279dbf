"""What the sites of the five frameworks have in common."""

import random

DOWNLOAD = random.Random(1).randbytes(3 * 1024 * 1024 + 17)
"""The same in every process, too large for any one buffer, and of no round length."""


def lines(count):
    """A body that comes in many small pieces."""
    for number in range(count):
        yield f"line {number}\n".encode()
