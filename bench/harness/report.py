"""What was seen, as tables and as data, and the files they are saved to."""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from statistics import median

from . import chart, targets
from .idle import Idle
from .load import Sample
from .servers import BENCH, BY_NAME, FLOOR, OURS, OWN, ROOT
from .starts import WORKERS, Start

MOST_SAID = 400
"""Characters of a failure."""


@dataclass
class Row:
    """One server under one workload in one placement."""

    samples: list[Sample] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    """How far the cores were from each other at each sample; `mixed` where it changed."""
    pss_bytes: int = 0
    start_ms: float = 0.0

    def counted(self) -> list[Sample]:
        """The samples of the state that most of them have, so that like is compared with like."""
        usual = self.usual_state()
        return [s for s, state in zip(self.samples, self.states, strict=True) if state == usual]

    def usual_state(self) -> str:
        return Counter(self.states).most_common(1)[0][0]

    @property
    def cpu_us(self) -> float:
        return median(sample.cpu_us for sample in self.counted())

    def spread(self) -> float:
        values = [sample.cpu_us for sample in self.counted()]
        return (max(values) - min(values)) / self.cpu_us


Table = dict[str, Row]
"""Rows by server."""


@dataclass
class Results:
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    commit: str = field(default_factory=lambda: commit())
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    """By placement and workload."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Probes that a server fails, by server."""
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Parts of the run that are not done, or not to their end."""
    versions: dict[str, str] = field(default_factory=dict)
    """By server."""
    alone_us: dict[str, float] = field(default_factory=dict)
    """CPU time of one call of a workload's application without a server."""
    rounds: str = ""
    """How many, and how long."""
    starts: dict[str, Start] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)

    def limit(self, placement: str, workload: str) -> float | None:
        """What a request takes at least: the kernel's part and the application's, in µs."""
        alone = self.alone_us.get(workload)
        for known in (workload, "hello"):
            floor = self.tables.get((placement, known), {}).get(FLOOR.name)
            if floor and alone is not None:
                return floor.cpu_us + alone
        return None

    def row(self, placement: str, workload: str, server: str) -> Row:
        return self.tables.setdefault((placement, workload), {}).setdefault(server, Row())

    def drop(self, placement: str, workload: str, server: str, why: object) -> None:
        """Leaves a server out of a table, with the reason."""
        self.failures.append(f"{server}, {workload} ({placement}): {why}")
        self.tables.get((placement, workload), {}).pop(server, None)


def text(results: Results) -> str:
    parts = [f"{machine()} {results.rounds}."]
    if results.missing:
        parts.append(f"**This run is not whole.** Missing: {'; '.join(results.missing)}.")
    if reached := list(targets.outcomes(results)):
        parts.append(f"## Targets\n\n{target_table(reached)}")
    for (placement, workload), rows in results.tables.items():
        if not rows:
            continue
        part = f"## {workload}, {placement}\n\n{table(rows, results.faults)}"
        limit = results.limit(placement, workload)
        if limit and OURS in rows:
            share = rows[OURS].cpu_us / limit
            alone = results.alone_us[workload]
            part += (
                f"\n\nThe application alone takes {alone:.2f} µs, with the floor {limit:.2f} µs; "
                f"{OURS} takes {share:.2f} times that."
            )
        parts.append(part)
    if results.starts:
        parts.append(f"## Start and memory\n\n{start_table(results)}")
    if results.idle:
        parts.append(f"## Idle connections\n\n{idle_table(results)}")
    if results.versions:
        named = ", ".join(f"{name} {version}" for name, version in results.versions.items())
        parts.append(f"## Versions\n\n{named}.")
    if results.faults:
        parts.append(f"## What servers get wrong\n\n{wrong(results.faults)}")
    if results.failures:
        lines = "\n".join(f"- {short(failure)}" for failure in results.failures)
        parts.append(f"## Not measured\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def short(failure: str) -> str:
    """A line for what may have a whole log in it; the data has all of it."""
    line = " ".join(failure.split())
    half = MOST_SAID // 2
    return line if len(line) <= MOST_SAID else f"{line[:half]} … {line[-half:]}"


def table(rows: Table, faults: dict[str, list[str]]) -> str:
    floor = rows.get(FLOOR.name)
    peers = {name: row for name, row in rows.items() if name not in (*OWN, FLOOR.name)}
    best = min((row.cpu_us for row in peers.values()), default=None)
    right = [row.cpu_us for name, row in peers.items() if not faults.get(name)]
    lines = [
        "| server | CPU µs/request | above the floor | spread | to the best peer "
        "| to the best that answers rightly | requests/s | p50 ms | p99 ms | PSS MiB | start ms "
        "| cores |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: item[1].cpu_us):
        counted = row.counted()
        cells = [
            starred(name, faults),
            f"{row.cpu_us:.2f}",
            f"{row.cpu_us - floor.cpu_us:.2f}" if floor else "-",
            f"{100 * row.spread():.1f} %",
            ratio(row.cpu_us, best),
            ratio(row.cpu_us, min(right, default=None)),
            f"{median(sample.per_second for sample in counted):.0f}",
            f"{median(sample.p50_ms for sample in counted):.2f}",
            f"{median(sample.p99_ms for sample in counted):.2f}",
            f"{row.pss_bytes / 2**20:.1f}",
            f"{row.start_ms:.0f}",
            f"{row.usual_state()} {len(counted)}/{len(row.samples)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *hosts(rows)])


def hosts(rows: Table) -> list[str]:
    """What our servers on other loops take of the CPU time of those whose place they take."""
    lines = []
    for name, row in rows.items():
        for peer in BY_NAME[name].beside:
            if peer in rows:
                lines.append(f"- {name}: {row.cpu_us / rows[peer].cpu_us:.2f} of {peer}")
    return ["", *lines] if lines else []


def target_table(reached: list[targets.Outcome]) -> str:
    lines = ["| workload | oxicorn | beside | ratio | wanted | |", "|---|---:|---:|---:|---:|---|"]
    for one in reached:
        said = "met" if one.is_met else "missed"
        cells = [one.what, one.ours, one.beside, f"{one.reached:.2f}", f"≤ {one.wanted:.2f}", said]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def start_table(results: Results) -> str:
    starts = max(len(start.all_ms) for start in results.starts.values())
    lines = [
        f"Medians of {starts} starts of `hello`, on one core. The memory is that of all processes "
        f"after one answer; a further worker's is its share of what {WORKERS} have more than one.",
        "",
        "| server | start ms | PSS MiB | each further worker MiB |",
        "|---|---:|---:|---:|",
    ]
    for name, start in sorted(results.starts.items(), key=lambda item: item[1].ms):
        worker = "-" if start.worker_bytes is None else f"{start.worker_bytes / 2**20:.1f}"
        lines.append(
            f"| {starred(name, results.faults)} | {start.ms:.0f} | {start.pss_bytes / 2**20:.1f} "
            f"| {worker} |"
        )
    return "\n".join(lines)


def idle_table(results: Results) -> str:
    lines = [
        "| server | kept | PSS KiB each | `hello` CPU µs/request without | with | ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, seen in sorted(results.idle.items(), key=lambda item: item[1].bytes_each):
        lines.append(
            f"| {starred(name, results.faults)} | {seen.kept} | {seen.bytes_each / 1024:.2f} "
            f"| {seen.cpu_us_without:.2f} | {seen.cpu_us:.2f} "
            f"| {seen.cpu_us / seen.cpu_us_without:.2f} |"
        )
    return "\n".join(lines)


def starred(name: str, faults: dict[str, list[str]]) -> str:
    return f"{name} *" if faults.get(name) else name


def wrong(faults: dict[str, list[str]]) -> str:
    lines = ["Marked * above; each line is a probe that the server does not pass.", ""]
    for name, found in sorted(faults.items()):
        lines.append(
            f"- {name}: {'; '.join(f'not: {one}' for one in found) or 'all probes passed'}"
        )
    return "\n".join(lines)


def ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2f}" if reference else "-"


def machine() -> str:
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    return (
        f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"CPython {platform.python_version()}, commit {commit()}. Medians of the rounds in the "
        "usual state of the cores."
    )


@cache
def commit() -> str:
    """What was measured: the tree may go on while it is."""
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def save(results: Results) -> str:
    """Writes Markdown, JSON and a chart below `bench/results`, over what this run wrote before;
    returns their common stem."""
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    stem = folder / f"{results.began:%Y-%m-%d}-{results.commit}"
    stem.with_suffix(".md").write_text(text(results))
    data = {
        "machine": machine(),
        "rounds": results.rounds,
        "tables": [
            {"placement": placement, "workload": workload, "servers": dump(rows)}
            for (placement, workload), rows in results.tables.items()
        ],
        "targets": [asdict(one) for one in targets.outcomes(results)],
        "alone_us": results.alone_us,
        "starts": dump(results.starts),
        "idle": dump(results.idle),
        "versions": results.versions,
        "faults": results.faults,
        "failures": results.failures,
        "missing": results.missing,
    }
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    stem.with_suffix(".svg").write_text(chart.svg(bars(results), results.faults))
    return str(stem)


def dump(rows: Mapping[str, Row | Start | Idle]) -> dict[str, object]:
    return {name: asdict(row) for name, row in rows.items()}


def bars(results: Results) -> dict[str, dict[str, float]]:
    """CPU time of each workload relative to ours, in the first placement that has it."""
    shown: dict[str, dict[str, float]] = {}
    for (_, workload), rows in results.tables.items():
        if OURS in rows and workload not in shown:
            ours = rows[OURS].cpu_us
            shown[workload] = {name: row.cpu_us / ours for name, row in rows.items()}
    return shown
