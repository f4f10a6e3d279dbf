"""The workloads, and the check of an answer before it is timed."""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass, field

from . import tls
from .process import Failed, Running
from .servers import BENCH, FLOOR, HTTP2, PLAIN, TLS, Server

sys.path.insert(0, str(BENCH / "apps"))
import apps

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
    path: str = "/"
    threads: int = 1
    """Application threads; servers that cannot have more than one are left out above 1."""
    workers: int = 1
    """Processes; with more than one nothing is bound to a core."""
    pipelined: int = 1
    """Requests that are sent without waiting for an answer."""
    loop: str = ""
    """Whose event loop a server must have."""
    shows_hosts: bool = False
    """Whether our servers on other loops are measured too, beside those whose place they take."""
    closes: bool = False
    """Whether each request has a connection of its own."""
    protocol: str = PLAIN
    streams: int = 1
    """Of HTTP/2, requests of a connection that are under way at a time."""
    handshake: str = ""
    """With a handshake for each request: `new`, or `resumed` from the session before."""

    def suits(self, server: Server) -> bool:
        """Whether the server has the protocol, the loop, and as many threads and workers."""
        return (
            self.protocol in server.speaks
            and (self.threads == 1 or "{threads}" in server.command)
            and (self.workers == 1 or "{workers}" in server.command)
            and self.loop in ("", server.loop)
            and (self.shows_hosts or not server.beside)
            and (server is not FLOOR or self.has_floor())
        )

    def has_floor(self) -> bool:
        """Whether a fixed answer to whatever is read is the right one."""
        return self.protocol == PLAIN and self.answer == apps.HELLO and self.pipelined == 1

    @property
    def answer(self) -> bytes:
        if self.app == "echo":
            return self.body
        if self.app == "swallow":
            return str(len(self.body)).encode()
        return apps.BODIES[self.app]

    def is_right(self, body: bytes) -> bool:
        """Whether an answer is what the application gave."""
        if self.app == "flask_record":
            return json.loads(body) == apps.RECORD
        return body == self.answer

    def request(self, port: int) -> bytes:
        """The request as it goes over the wire."""
        method = "POST" if self.body else "GET"
        lines = [f"{method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.fields().items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def fields(self) -> dict[str, str]:
        return {**self.headers, "Connection": "close"} if self.closes else self.headers


WORKLOADS = [
    Workload("hello", shows_hosts=True),
    Workload("hello-1", connections=1),
    Workload("hello-256", connections=256),
    Workload("close", closes=True),
    Workload("pipelined", pipelined=16),
    Workload("headers", app="headers", headers=BROWSER),
    Workload("json", app="record"),
    Workload("post", app="echo", body=b"x" * 1024),
    Workload("post-10k", app="echo", body=b"x" * 10 * 1024),
    Workload("post-1m", app="swallow", connections=8, body=b"x" * 2**20),
    Workload("stream", app="stream", connections=8),
    Workload("file", app="file", connections=4),
    Workload("flask", app="flask_hello"),
    Workload("flask-json", app="flask_record", path="/record"),
    Workload("django", app="django_hello"),
    Workload("sleep", app="sleep", threads=16),
    Workload("green-sleep", app="green_sleep", connections=200, loop="gevent", shows_hosts=True),
    Workload("hello-4w", connections=256, workers=4),
    Workload("tls", connections=16, protocol=TLS),
    Workload("tls-new", connections=8, protocol=TLS, handshake="new"),
    Workload("tls-resumed", connections=8, protocol=TLS, handshake="resumed"),
    Workload("http2", connections=8, protocol=HTTP2, streams=32),
    Workload("http2-100", connections=1, protocol=HTTP2, streams=100),
]

WORKLOADS_BY_NAME = {workload.name: workload for workload in WORKLOADS}


def check_answer(here: Running, workload: Workload) -> None:
    """A server that answers wrongly has no speed."""
    ask = ask_by_http2 if workload.protocol == HTTP2 else ask_by_http1
    status, body = ask(here, workload)
    if status != 200 or not workload.is_right(body):
        raise Failed(f"wrong answer: {status}, {len(body)} bytes, {body[:40]!r}")


def ask_by_http1(here: Running, workload: Workload) -> tuple[int, bytes]:
    """Status and body of one answer, over TLS 1.3 if over TLS."""
    client = http.client.HTTPConnection("127.0.0.1", here.port)
    try:
        client.sock = here.connect(30)
        if workload.protocol == TLS and client.sock.version() != "TLSv1.3":
            raise Failed(f"speaks {client.sock.version()}, where others speak TLSv1.3")
        method = "POST" if workload.body else "GET"
        client.request(method, workload.path, workload.body or None, workload.fields())
        response = client.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"no answer: {error!r}: {here.tail()}") from error
    finally:
        client.close()


def ask_by_http2(here: Running, workload: Workload) -> tuple[int, bytes]:
    """The same by HTTP/2, which curl must have been offered in TLS 1.3."""
    argv = ["curl", "--silent", "--show-error", "--max-time", "30", "--http2", "--tlsv1.3"]
    argv += ["--cacert", str(tls.certificate().cert)]
    argv += ["--write-out", "%{stderr}%{http_version} %{response_code}", here.url(workload.path)]
    done = subprocess.run(argv, capture_output=True, check=False)
    said = done.stderr.decode()
    if done.returncode or not said.startswith("2 "):
        raise Failed(f"no answer by HTTP/2: {said}: {here.tail()}")
    return int(said.split()[1]), done.stdout
