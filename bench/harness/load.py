"""The load generator, and what a round of it shows."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .process import Failed, Running
from .workloads import Workload

WARM_SECS = 0.4
NOT_COUNTED = re.compile(r"Non-2xx.*|Socket errors.*")
"""What `wrk` says of answers that are none."""


@dataclass(frozen=True)
class Sample:
    """One round of one server."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float


def require_tools(*tools: str) -> None:
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = {"taskset": "util-linux", "cc": "gcc libc6-dev", "vgdb": "valgrind"}
        names = " ".join(packages.get(tool, tool) for tool in missing)
        sys.exit(f"needs {', '.join(missing)} (Debian: apt-get install {names})")


def warm_up(here: Running, workload: Workload, core: int | None = 0) -> None:
    """Puts a server under load for a moment. What it makes of that shows when it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        argv = command(here, workload, 9, core, Path(folder))
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, **silent) as generator:
            time.sleep(WARM_SECS)
            generator.send_signal(signal.SIGINT)


def measure(here: Running, workload: Workload, duration: int, core: int | None = 0) -> Sample:
    """One round: the generator on `core` (None: anywhere), and the server's CPU time meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        argv = command(here, workload, duration, core, Path(folder))
        before = here.cpu_secs()
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=duration + 60
        )
        cpu = here.cpu_secs() - before
    text = done.stdout
    count = re.search(r"(\d+) requests in", text)
    if done.returncode or not count or not int(count[1]):
        raise Failed(f"wrk: {text}{done.stderr}")
    for trouble in NOT_COUNTED.findall(text):
        # A connection that the server closed after the answer that said so is read to its end.
        if not (workload.closes and re.search(r"connect 0, read \d+, write 0, timeout 0", trouble)):
            raise Failed(f"wrk: {trouble}")
    return Sample(
        cpu_us=cpu * 1e6 / int(count[1]),
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p50_ms=percentile(text, 50),
        p99_ms=percentile(text, 99),
    )


def command(
    here: Running, workload: Workload, duration: int, core: int | None, folder: Path
) -> list[str]:
    """How the generator is started; `folder` is for what it has to read."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    argv = [*pin, "wrk", "-t1", f"-c{workload.connections}", f"-d{duration}s", "--latency"]
    for name, value in workload.fields().items():
        argv += ["-H", f"{name}: {value}"]
    if text := script(workload):
        path = folder / "load.lua"
        path.write_text(text)
        argv += ["-s", str(path)]
    return [*argv, f"http://127.0.0.1:{here.port}{workload.path}"]


def script(workload: Workload) -> str:
    """What `wrk` has to be told in Lua, if anything."""
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
    """Milliseconds from `wrk`'s table of latencies."""
    number, unit = re.search(rf"^ +{share}% +([\d.]+)(us|ms|s|m)$", text, re.MULTILINE).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
