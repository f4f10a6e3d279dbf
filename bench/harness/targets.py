"""What oxicorn is meant to reach beside its peers, and whether a run shows it.

A ratio is one of CPU time per request, with server and generator on one core, as that repeats best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .placement import ANY, ONE
from .servers import FLOOR, OURS, OWN

if TYPE_CHECKING:
    from .report import Results

BEST = "the best that answers rightly"
LIMIT = "floor and application alone"


@dataclass(frozen=True)
class Target:
    """At most this many times what something else takes."""

    workload: str
    at_most: float
    beside: str = BEST
    """The best peer, the limit, or a server's name."""


TARGETS = [
    *(Target(name, 0.95) for name in ("hello", "headers", "json", "post", "post-10k", "close")),
    *(Target(name, 1.0) for name in ("hello-1", "hello-256", "pipelined", "post-1m", "hello-4w")),
    *(Target(name, 1.0) for name in ("tls", "tls-new", "tls-resumed", "http2", "http2-100")),
    Target("stream", 0.9),
    Target("file", 1.0, "uwsgi"),
    *(Target(name, 1.0) for name in ("flask", "flask-json", "django")),
    *(Target(name, 1.1, LIMIT) for name in ("flask", "flask-json", "django")),
    Target("sleep", 0.8, "granian"),
]
START = 1.2
"""Times the start of the faster of gunicorn's workers for threads."""
IDLE_BYTES = 1024


@dataclass(frozen=True)
class Outcome:
    """One target with what the run says of it."""

    what: str
    ours: str
    beside: str
    reached: float
    wanted: float

    @property
    def is_met(self) -> bool:
        return self.reached <= self.wanted


def outcomes(results: "Results") -> Iterator[Outcome]:
    for target in TARGETS:
        placement = ANY if target.workload == "hello-4w" else ONE
        rows = results.tables.get((placement.name, target.workload), {})
        others = {
            name: row.cpu_us
            for name, row in rows.items()
            if name not in (*OWN, FLOOR.name) and row.samples
        }
        if target.beside == BEST:
            others = {name: us for name, us in others.items() if not results.faults.get(name)}
        elif target.beside == LIMIT:
            limit = results.limit(placement.name, target.workload)
            others = {LIMIT: limit} if limit else {}
        else:
            others = {name: us for name, us in others.items() if name == target.beside}
        if OURS in rows and others:
            name = min(others, key=others.__getitem__)
            ours = rows[OURS].cpu_us
            yield Outcome(
                target.workload,
                f"{ours:.2f} µs",
                f"{name} {others[name]:.2f} µs",
                ours / others[name],
                target.at_most,
            )
    starts = results.starts
    if {OURS, "gunicorn-gthread"} <= starts.keys():
        ours, theirs = starts[OURS].ms, starts["gunicorn-gthread"].ms
        yield Outcome("start", f"{ours:.0f} ms", f"gunicorn {theirs:.0f} ms", ours / theirs, START)
    if OURS in results.idle:
        each = results.idle[OURS].bytes_each
        yield Outcome("idle", f"{each:.0f} B", "1 KiB", each / IDLE_BYTES, 1.0)
