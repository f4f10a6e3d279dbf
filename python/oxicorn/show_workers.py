"""`oxicorn show-workers`: what the workers of a running server are doing, and what they did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from oxicorn._oxicorn import Scoreboard
from oxicorn.errors import Error

__all__ = ["show_workers"]

USAGE = """usage: oxicorn show-workers [--json] (PID | --pid FILE)

Prints what the workers of a running server are doing, and what they did since it was started.

  PID         the process id of its master, or of one of its workers
  --pid FILE  the file that has it (the setting `pidfile`)
  --json      for programs: one object, with every histogram
"""

_COLUMNS = (
    "pid",
    "state",
    "busy",
    "waiting",
    "connections",
    "requests",
    "refused",
    "abandoned",
    "given",
    "taken",
)


def show_workers(argv: Sequence[str]) -> int:
    """Prints the scoreboard once; `argv` is what follows `show-workers`."""
    pid, as_json = None, False
    words = iter(argv)
    for word in words:
        if word in ("-h", "--help"):
            print(USAGE, end="")
            return 0
        if word == "--json":
            as_json = True
        elif word == "--pid":
            pid = _read(next(words, ""))
        elif word.isdecimal() and pid is None:
            pid = word
        else:
            raise Error(f"show-workers: unexpected `{word}`\n{USAGE.rstrip()}", 2)
    if pid is None:
        raise Error("show-workers: the process id of a master is missing", 2)
    try:
        board = Scoreboard(int(pid)).read()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Error(f"show-workers: cannot look into process {pid}: {reason}", 1) from None
    if as_json:
        print(json.dumps(board))
    else:
        print("\n".join(_page(board)))
    return 0


def _read(path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except OSError as error:
        raise Error(f"show-workers: cannot read `{path}`: {error.strerror}", 1) from None
    if not text.isdecimal():
        raise Error(f"show-workers: no process id in `{path}`", 1)
    return text


def _page(board: dict[str, Any]) -> Iterable[str]:
    workers, totals = board["workers"], board["totals"]
    rows = [_COLUMNS, *([worker[name] for name in _COLUMNS] for worker in workers)]
    rows.append(["all", "", *(sum(worker[name] for worker in workers) for name in _COLUMNS[2:5])])
    rows[-1] = [*rows[-1], *(totals[name] for name in _COLUMNS[5:])]
    yield from _table(rows)
    yield ""
    header = ("phase, ms", "mean", "half", "95 %", "99 %", "all")
    shares = (0.5, 0.95, 0.99, 1.0)
    phases = totals["phases"].items()
    yield from _table(
        [
            header,
            *(
                (name, _mean(row), *(_bound(row, share) for share in shares))
                for name, row in phases
            ),
        ]
    )
    flights = [(worker["pid"], flight) for worker in workers for flight in worker["in_flight"]]
    if flights:
        flights.sort(key=lambda each: -each[1]["age_ms"])
        yield ""
        # Ids only where requests have any.
        names = ["request_id"] if any(each["request_id"] for _, each in flights) else []
        names = ["client", "method", *names, "path"]
        found = (
            [pid, f"{each['age_ms'] / 1000:.3f}", *(each[name] or "-" for name in names)]
            for pid, each in flights
        )
        yield from _table([["pid", "seconds", *names], *found])


def _mean(row: dict[str, Any]) -> str:
    count = sum(row["buckets"])
    return f"{row['total_ms'] / count:.1f}" if count else "-"


def _bound(row: dict[str, Any], share: float) -> str:
    """Below which power of two this share of the times was."""
    buckets = row["buckets"]
    count, seen = sum(buckets), 0
    for power, number in enumerate(buckets):
        seen += number
        if count and seen >= share * count:
            last = power == len(buckets) - 1
            return f">={1 << (power - 1)}" if last else f"<{1 << power}"
    return "-"


def _table(rows: Sequence[Sequence[object]]) -> Iterable[str]:
    """Columns under each other, the first one and texts on the left."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in texts) for at in range(len(texts[0]))]
    for row in texts:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
