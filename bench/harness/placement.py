"""Where server and generator run, and what that machine is like at the moment."""

import os
import subprocess
from dataclasses import dataclass

from . import servers

# Between the two clusters that are seen on virtual machines: some 200 ns, and 600 and more.
NEAR_NS = 400


@dataclass(frozen=True)
class Placement:
    name: str
    server: int | None
    """The server's core; None is any."""
    generator: int | None

    def state(self) -> str:
        """How far the two cores are from each other just now: `near`, `far`, or `same`."""
        if self.server is None or self.generator is None or self.server == self.generator:
            return "same"
        return "near" if round_trip_ns(self.server, self.generator) < NEAR_NS else "far"


ONE = Placement("one core", 0, 0)
"""Both always busy: the figures repeat."""
TWO = Placement("two cores", 0, 1)
ANY = Placement("all cores", None, None)

BY_NAME = {"one": ONE, "two": TWO}


def usable(placement: Placement) -> bool:
    """Whether this machine has the cores."""
    cores = os.sched_getaffinity(0)
    return {placement.server, placement.generator} - {None} <= cores


def round_trip_ns(here: int, there: int) -> float:
    """Nanoseconds that a word in shared memory takes from one core to the other and back."""
    folder = servers.FLOOR.prefix / "bin"
    if not (folder / "roundtrip").exists():
        servers.compile_c("roundtrip", folder)
    argv = [str(folder / "roundtrip"), str(here), str(there)]
    return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
