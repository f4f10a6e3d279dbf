"""The load generator `h2load`: HTTP/2 in TLS."""

import re
from pathlib import Path

from .counted import Counted, find, percentile
from .process import Failed, Running
from .workloads import Workload

LOG = "requests.tsv"
"""Where it notes each request: when it was sent, its status, and its microseconds."""


def command(here: Running, workload: Workload, duration: int, folder: Path) -> list[str]:
    """How it is started; it offers nothing but HTTP/2."""
    argv = ["h2load", "-t1", f"-c{workload.connections}", f"-m{workload.streams}"]
    argv += [f"-D{duration}s", "--npn-list=h2", f"--log-file={folder / LOG}"]
    return [*argv, here.url(workload.path)]


def read(text: str, workload: Workload, folder: Path) -> Counted:
    """What it printed and noted."""
    find("^Application protocol: h2$", text)
    totals = find(r"requests: .*, (\d+) done, (\d+) succeeded, (.*)", text)
    statuses = find(r"status codes: \d+ 2xx, (.*)", text)
    done, succeeded = int(totals[1]), int(totals[2])
    troubles = re.sub(r"[2-5]xx", "", f"{totals[3]} {statuses[1]}")
    # Those that are under way at the end have a status at times, and are not done.
    if not done or done != succeeded or re.search("[1-9]", troubles):
        raise Failed(f"h2load: {totals[0]}; {statuses[0]}")
    took = sorted(int(line.split("\t")[2]) for line in (folder / LOG).read_text().splitlines())
    return Counted(
        requests=done,
        per_second=float(find(r"finished in .*, ([\d.]+) req/s", text)[1]),
        p50_ms=percentile(took, 50) / 1000,
        p99_ms=percentile(took, 99) / 1000,
    )
