"""What an application takes by itself: no server can be faster than that and the kernel's part."""

import os
import subprocess

from . import servers, workloads

# Those that read a body, sleep or send much are no measure of a server's part.
APPS = {"hello", "headers", "record", "flask_hello", "flask_record", "django_hello"}


def alone_us(workload: workloads.Workload) -> float | None:
    """CPU time of one call without a server, in microseconds; `None` where that says nothing."""
    if workload.app not in APPS or workload.protocol != servers.PLAIN or workload.pipelined > 1:
        return None
    python = servers.BY_NAME[servers.OURS].prefix / "bin" / "python"
    program = str(servers.BENCH / "apps" / "limit.py")
    fields = [f"{name}: {value}" for name, value in workload.headers.items()]
    argv = ["taskset", "-c", "0", str(python), program, workload.app, workload.path, *fields]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=env)
    return float(done.stdout)
