"""Puts servers under the load that a release wheel is laid out for: `load.py PYTHON PACKAGE`.

PACKAGE is a folder with a wheel that notes where it goes. Its servers run under PYTHON, one after
the other; each leaves its notes where LLVM_PROFILE_FILE says when it stops. The numbers of requests
are fixed, so that two trainings come to nearly the same.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

HERE = Path(__file__).resolve().parent
LIMIT_SECS = 60
FILE_BYTES = 1 << 20
CONNECTIONS = 16

FEW = "Host: a.example\r\nUser-Agent: curl/8.14\r\nAccept: */*\r\n"
BROWSER = (
    "Host: a.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: http://a.example/articles/2026/11/\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: sessionid=8yq3k1v0m4x7w2p9c6t5r8n1; csrftoken=Qd7WmZr2Kx9Lt4Vb; theme=dark\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Cache-Control: max-age=0\r\n"
)
PROGRAM = (
    "Host: a.example\r\nAuthorization: Bearer b3ZlciB0aGUgaGlsbHMgYW5kIGZhciBhd2F5\r\n"
    "Accept: application/json\r\nContent-Type: application/json\r\n"
)
PROXIED = (
    "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n"
)


def get(path: str, fields: str = FEW, method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\n{fields}\r\n".encode()


def post(path: str, body: bytes, fields: str = PROGRAM) -> bytes:
    return get(path, f"{fields}Content-Length: {len(body)}\r\n", "POST") + body


def chunked(path: str, body: bytes, step: int) -> bytes:
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return get(path, f"{PROGRAM}Transfer-Encoding: chunked\r\n", "POST") + framed + b"0\r\n\r\n"


USUAL = [
    (get("/page"), 4000),
    (get("/page", BROWSER), 1000),
    (get("/dressed", BROWSER), 500),
    (get("/record"), 300),
    (get("/record?page=2&sort=name%20up", PROGRAM), 200),
    (get("/%C3%A9t%C3%A9/not-there", BROWSER), 100),
    (get("/moved", BROWSER), 100),
    (get("/unchanged", BROWSER), 100),
    (get("/written"), 50),
    (get("/template", BROWSER), 100),
    (get("/page", method="HEAD"), 50),
    (post("/echo", b"x" * 300), 600),
    (post("/echo", b"x" * 10_000), 200),
    (post("/lines", b"one line of many\n" * 200), 50),
    (post("/echo", b"x" * 300_000), 5),
    (chunked("/echo", b"x" * 5000, 800), 50),
    (get("/pieces"), 30),
    (get("/file"), 4),
    (get("/buffer"), 20),
]
"""What is asked on kept connections, and how many times on each."""
CLOSING = [
    (get("/page", f"{FEW}Connection: close\r\n"), 4000),
    (get("/dressed", BROWSER.replace("keep-alive", "close")), 200),
    (get("/page", version="1.0"), 200),
    (get("/wrong", f"{FEW}Connection: close\r\n"), 4),
    (b"GET /page HTTP/1.1\r\nHost : a\r\n\r\n", 20),
]
"""What is asked on connections of their own."""


class Peer:
    """One connection, and how its responses are read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._unread = b""

    def ask(self, request: bytes) -> None:
        self.connection.sendall(request)

    def answer(self, request: bytes) -> None:
        """Reads one response to its end."""
        head = self._until(b"\r\n\r\n").lower()
        if request.startswith(b"HEAD") or b" 304 " in head[:13]:
            return
        if length := re.search(rb"\r\ncontent-length: (\d+)", head):
            self._take(int(length[1]))
        elif b"\r\ntransfer-encoding: chunked" in head:
            while size := int(self._until(b"\r\n"), 16):
                self._take(size + 2)
            self._until(b"\r\n")
        else:
            raise SystemExit(f"to {request[:80]!r} came what has no end: {head!r}")

    def _until(self, mark: bytes) -> bytes:
        while (end := self._unread.find(mark)) < 0:
            self._more()
        found, self._unread = self._unread[: end + len(mark)], self._unread[end + len(mark) :]
        return found

    def _take(self, count: int) -> None:
        while len(self._unread) < count:
            self._more()
        self._unread = self._unread[count:]

    def _more(self) -> None:
        came = self.connection.recv(1 << 18)
        if not came:
            raise SystemExit(f"cut after {self._unread[:200]!r}")
        self._unread += came


class Site:
    """A server that runs, and how clients get to it."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self._port = port
        self._context = context

    def connect(self, protocol: str = "http/1.1", session: ssl.SSLSession | None = None):
        raw = socket.create_connection(("127.0.0.1", self._port), LIMIT_SECS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return raw
        self._context.set_alpn_protocols([protocol])
        return self._context.wrap_socket(raw, server_hostname="localhost", session=session)


def keep(site: Site, asked: list[tuple[bytes, int]], share: float = 1) -> None:
    """Asks on several connections at a time, as many requests as the share says."""
    with ExitStack() as stack:
        peers = [Peer(stack.enter_context(site.connect())) for _ in range(CONNECTIONS)]
        for request, times in asked:
            for _ in range(max(1, round(times * share))):
                for peer in peers:
                    peer.ask(request)
                for peer in peers:
                    peer.answer(request)


def pipeline(site: Site) -> None:
    with site.connect() as connection:
        peer, request = Peer(connection), get("/page")
        for _ in range(200):
            peer.ask(request * 8)
            for _ in range(8):
                peer.answer(request)


def come_slowly(site: Site) -> None:
    """Requests in two parts, and one whose body waits to be asked for."""
    with site.connect() as connection:
        peer, request = Peer(connection), get("/page", BROWSER)
        for cut in range(1, len(request)):
            peer.ask(request[:cut])
            time.sleep(0.0005)
            peer.ask(request[cut:])
            peer.answer(request)


def close(site: Site, share: float = 1) -> None:
    """A connection for each request; several wait to be accepted."""
    for request, times in CLOSING:
        for _ in range(max(1, round(times * share / 4))):
            connections = [site.connect() for _ in range(4)]
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                with connection:
                    while connection.recv(65536):
                        pass


def shake_hands(site: Site) -> None:
    """TLS from the beginning, and from the session before."""
    session = None
    for turn in range(600):
        with site.connect(session=session if turn % 2 else None) as connection:
            request = get("/page")
            peer = Peer(connection)
            peer.ask(request)
            peer.answer(request)
            session = connection.session


def multiplex(site: Site) -> None:
    """Requests of HTTP/2 on several streams at a time."""
    place = [(":scheme", "https"), (":authority", "localhost")]
    fields = [("user-agent", "training"), ("accept", "*/*"), ("accept-encoding", "gzip")]
    with site.connect("h2") as connection:
        machine = H2Connection(H2Configuration(client_side=True))
        machine.initiate_connection()
        for turn in range(1000):
            path = "/pieces" if turn % 50 == 0 else "/dressed" if turn % 4 == 0 else "/page"
            left = 10
            for _ in range(left):
                stream = machine.get_next_available_stream_id()
                is_post = turn % 10 == 1
                method, target = ("POST", "/echo") if is_post else ("GET", path)
                asked = [(":method", method), *place, (":path", target), *fields]
                machine.send_headers(stream, asked, end_stream=not is_post)
                if is_post:
                    machine.send_data(stream, b"x" * 500, end_stream=True)
            while left:
                connection.sendall(machine.data_to_send())
                events = machine.receive_data(connection.recv(1 << 18))
                for event in events:
                    if flow := getattr(event, "flow_controlled_length", 0):
                        machine.acknowledge_received_data(flow, event.stream_id)
                    left -= isinstance(event, StreamEnded)
            connection.sendall(machine.data_to_send())


@contextmanager
def serving(
    python: str, package: str, folder: Path, *options: str, context: ssl.SSLContext | None = None
) -> Iterator[Site]:
    """Starts a server, and stops it after."""
    log = folder / "log"
    command = [python, "-m", "oxicorn", "-c", str(HERE / "settings.py"), "-b", "127.0.0.1:0"]
    file = folder / "file"
    file.write_bytes(bytes(FILE_BYTES))
    environment = {**os.environ, "PYTHONPATH": package, "TRAINING_FILE": str(file)}
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, *options, "pages:app"], cwd=HERE, env=environment, stdout=out, stderr=out
        )
    try:
        give_up = time.monotonic() + LIMIT_SECS
        while not (port := re.search(r"Listening at: https?://127.0.0.1:(\d+)", log.read_text())):
            if server.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield Site(int(port[1]), context)
        server.send_signal(signal.SIGTERM)
        if server.wait(LIMIT_SECS):
            raise SystemExit(f"did not end well:\n{log.read_text()}")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def has(python: str, module: str) -> bool:
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode


def train(python: str, package: str, folder: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    key, chain = folder / "key.pem", folder / "chain.pem"
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)

    with serving(python, package, folder) as site:
        keep(site, USUAL)
        pipeline(site)
        come_slowly(site)
        close(site)
    proxied = [(get("/page", BROWSER + PROXIED), 500), (get("/slow"), 50), (get("/page"), 500)]
    options = ["--threads", "4", "--access-logfile", str(folder / "access.log")]
    with serving(python, package, folder, *options) as site:
        keep(site, [*proxied, *USUAL], 0.2)
        close(site, 0.1)
    options = ["--certfile", str(chain), "--keyfile", str(key), "--http-protocols", "h2,h1"]
    with serving(python, package, folder, *options, context=context) as site:
        keep(site, USUAL, 0.2)
        shake_hands(site)
        multiplex(site)
    for loop in ("gevent", "tornado"):
        if has(python, loop):
            with serving(python, package, folder, "-k", loop) as site:
                keep(site, USUAL, 0.1)
                close(site, 0.1)


def main() -> None:
    python, package = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        train(str(Path(python).absolute()), str(Path(package).absolute()), Path(name))


if __name__ == "__main__":
    main()
