"""Our own load generator for TLS: a connection and a handshake for each request."""

import json
import sys
from pathlib import Path

from . import tls
from .counted import Counted, percentile
from .process import Failed, Running
from .servers import BENCH
from .workloads import Workload


def command(here: Running, workload: Workload, duration: int, folder: Path) -> list[str]:
    """How it is started; other generators hide whether a session was resumed."""
    program, cert = BENCH / "apps" / "handshakes.py", tls.certificate().cert
    words = [program, here.port, cert, duration, workload.connections, workload.handshake]
    return [sys.executable, *(str(word) for word in words)]


def read(text: str, workload: Workload, folder: Path) -> Counted:
    """What it printed."""
    seen = json.loads(text)
    times = seen["times_ms"]
    if seen["trouble"] or not times:
        raise Failed(f"handshakes: {seen['trouble'] or 'no answer'}")
    per_second = len(times) / seen["seconds"]
    return Counted(len(times), per_second, percentile(times, 50), percentile(times, 99))
