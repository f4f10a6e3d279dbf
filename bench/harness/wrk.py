"""The load generator `wrk`: HTTP/1.1, also in TLS."""

import re
from pathlib import Path

from .counted import Counted, find
from .process import Failed, Running
from .workloads import Workload

NOT_COUNTED = re.compile(r"Non-2xx.*|Socket errors.*")
"""What it says of answers that are none."""


def command(here: Running, workload: Workload, duration: int, folder: Path) -> list[str]:
    """How it is started; `folder` is for what it has to read."""
    argv = ["wrk", "-t1", f"-c{workload.connections}", f"-d{duration}s", "--latency"]
    for name, value in workload.fields().items():
        argv += ["-H", f"{name}: {value}"]
    if text := script(workload):
        path = folder / "load.lua"
        path.write_text(text)
        argv += ["-s", str(path)]
    return [*argv, here.url(workload.path)]


def read(text: str, workload: Workload, folder: Path) -> Counted:
    """What it printed."""
    count = int(find(r"(\d+) requests in", text)[1])
    if not count:
        raise Failed(f"wrk: {text}")
    for trouble in NOT_COUNTED.findall(text):
        # A connection that the server closed after the answer that said so is read to its end.
        if not (workload.closes and re.search(r"connect 0, read \d+, write 0, timeout 0", trouble)):
            raise Failed(f"wrk: {trouble}")
    return Counted(
        requests=count,
        per_second=float(find(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p50_ms=percentile(text, 50),
        p99_ms=percentile(text, 99),
    )


def script(workload: Workload) -> str:
    """What it has to be told in Lua, if anything."""
    lines = []
    if workload.body:
        lines += ['wrk.method = "POST"', f'wrk.body = string.rep("x", {len(workload.body)})']
    if workload.pipelined > 1:
        lines += [
            "function init(args)",
            f"  all = string.rep(wrk.format(), {workload.pipelined})",
            "end",
            "function request() return all end",
        ]
    return "\n".join([*lines, ""]) if lines else ""


def percentile(text: str, share: int) -> float:
    """Milliseconds from its table of latencies."""
    number, unit = find(rf"^ +{share}% +([\d.]+)(us|ms|s|m) *$", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
