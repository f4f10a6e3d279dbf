"""The tables, and the files they are saved to."""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

from .load import Sample
from .servers import BENCH, FLOOR, ROOT

Results = dict[str, dict[str, list[Sample]]]
"""Samples by workload and server."""


def tables(results: Results, memory: dict[str, dict[str, int]], failures: list[str]) -> str:
    parts = [machine()]
    for workload, samples in results.items():
        parts.append(f"## {workload}\n\n{table(samples, memory[workload])}")
    if failures:
        parts.append("## Not measured\n\n" + "\n".join(f"- {failure}" for failure in failures))
    return "\n\n".join(parts) + "\n"


def table(samples: dict[str, list[Sample]], memory: dict[str, int]) -> str:
    cpu = {name: median(sample.cpu_us for sample in rounds) for name, rounds in samples.items()}
    floor = cpu.get(FLOOR.name)
    peers = [value for name, value in cpu.items() if name not in ("oxicorn", FLOOR.name)]
    best, bjoern = min(peers, default=None), cpu.get("bjoern")
    lines = [
        "| server | CPU µs/request | above the floor | spread | to bjoern | to best peer "
        "| requests/s | p99 ms | PSS MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(cpu, key=cpu.__getitem__):
        values = [sample.cpu_us for sample in samples[name]]
        cells = [
            name,
            f"{cpu[name]:.2f}",
            "-" if floor is None else f"{cpu[name] - floor:.2f}",
            f"{100 * (max(values) - min(values)) / cpu[name]:.1f} %",
            ratio(cpu[name], bjoern),
            ratio(cpu[name], best),
            f"{median(sample.per_second for sample in samples[name]):.0f}",
            f"{median(sample.p99_ms for sample in samples[name]):.2f}",
            f"{memory[name] / 2**20:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
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
        f"CPython {platform.python_version()}, commit {commit()}. "
        "Server and generator share one core; medians of all rounds."
    )


def commit() -> str:
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def save(text: str, results: Results, memory: dict[str, dict[str, int]]) -> str:
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.now(timezone.utc):%Y-%m-%d}-{commit()}.md"
    path.write_text(text)
    samples = {
        workload: {name: [asdict(sample) for sample in rounds] for name, rounds in servers.items()}
        for workload, servers in results.items()
    }
    data = {"machine": machine(), "samples": samples, "pss_bytes": memory}
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    return str(path)
