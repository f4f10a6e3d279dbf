"""The workloads, the check of an answer, and the load generator."""

import http.client
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .process import Failed, Running

# What a desktop browser sends with a page of a site that set cookies; with Host it is 15 fields.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://localhost/articles/2026/11/",
    "DNT": "1",
    "Connection": "keep-alive",
    "Cookie": "sessionid=8yq3k1v0m4x7w2p9c6t5r8n1b4j7h2g5; csrftoken=Qd7WmZr2Kx9Lt4Vb; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Cache-Control": "max-age=0",
}


@dataclass(frozen=True)
class Workload:
    name: str
    app: str = "hello"
    connections: int = 64
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def answer(self) -> bytes:
        return self.body or b"Hello, World!\n"

    def request(self, port: int) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"{'POST' if self.body else 'GET'} / HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


WORKLOADS = [
    Workload("hello"),
    Workload("hello-1", connections=1),
    Workload("headers", headers=BROWSER),
    Workload("post", app="echo", body=b"x" * 1024),
    Workload("flask", app="flask_hello"),
]

WORKLOADS_BY_NAME = {workload.name: workload for workload in WORKLOADS}


@dataclass(frozen=True)
class Sample:
    """One round of one server."""

    cpu_us: float
    per_second: float
    p99_ms: float


def require_tools(*tools: str) -> None:
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = {"taskset": "util-linux"}
        names = " ".join(packages.get(tool, tool) for tool in missing)
        sys.exit(f"needs {', '.join(missing)} (Debian: apt-get install {names})")


def check_answer(here: Running, workload: Workload) -> None:
    """A server that answers wrongly has no speed."""
    client = http.client.HTTPConnection("127.0.0.1", here.port, timeout=30)
    try:
        method = "POST" if workload.body else "GET"
        client.request(method, "/", workload.body or None, workload.headers)
        response = client.getresponse()
        status, body = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"no answer: {error!r}: {here.tail()}") from error
    finally:
        client.close()
    if (status, body) != (200, workload.answer):
        raise Failed(f"wrong answer: {status} {body[:80]!r}")


def measure(here: Running, workload: Workload, duration: int, core: int | None = 0) -> Sample:
    """One round: the generator on the server's core, and the server's CPU time meanwhile."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    argv = [*pin, "wrk", "-t1", f"-c{workload.connections}", f"-d{duration}s", "--latency"]
    for name, value in workload.headers.items():
        argv += ["-H", f"{name}: {value}"]
    with tempfile.TemporaryDirectory() as folder:
        if workload.body:
            script = Path(folder) / "post.lua"
            script.write_text(
                f'wrk.method = "POST"\nwrk.body = string.rep("x", {len(workload.body)})\n'
            )
            argv += ["-s", str(script)]
        before = here.cpu_secs()
        done = subprocess.run(
            [*argv, f"http://127.0.0.1:{here.port}/"],
            capture_output=True,
            text=True,
            check=False,
            timeout=duration + 60,
        )
        cpu = here.cpu_secs() - before
    text = done.stdout
    count = re.search(r"(\d+) requests in", text)
    if done.returncode or not count or not int(count[1]):
        raise Failed(f"wrk: {text}{done.stderr}")
    for trouble in re.findall(r"Non-2xx.*|Socket errors.*", text):
        raise Failed(f"wrk: {trouble}")
    return Sample(
        cpu_us=cpu * 1e6 / int(count[1]),
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p99_ms=milliseconds(re.search(r"^ +99% +(\S+)$", text, re.MULTILINE)[1]),
    )


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
