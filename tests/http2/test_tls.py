"""HTTP/2 inside TLS, with clients as they are."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from support import eventually
from support.certificates import Authority
from support.front import need
from support.http2 import NO_ERROR, Http2Peer, fields

SETTINGS = 4
NAME = "shop.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue(NAME, "localhost", "127.0.0.1")


@pytest.fixture
def secure(serve, pair):
    """Serves both protocols inside TLS, HTTP/2 first."""
    chain, key = pair
    options = ("--certfile", str(chain), "--keyfile", str(key), "--http-protocols", "h2,h1")
    return lambda app, *more, **other: serve(app, *options, *more, **other)


@pytest.fixture
def dial_tls(authority):
    """Opens TLS connections that offer these protocols, and closes them with the test."""
    sockets = []

    def connect(server, *protocols: str) -> ssl.SSLSocket:
        context = authority.context()
        if protocols:
            context.set_alpn_protocols(list(protocols))
        sockets.append(context.wrap_socket(server.connect(), server_hostname=NAME))
        return sockets[-1]

    yield connect
    for sock in sockets:
        sock.close()


def test_the_handshake_decides(secure, dial_tls, kind):
    server = secure("mirror", *kind)
    sock = dial_tls(server, "h2", "http/1.1")
    assert sock.selected_alpn_protocol() == "h2"
    peer = Http2Peer(sock)
    for number in range(3):
        told = json.loads(peer.response(peer.get(f"/{number}")).body)
        assert (told["protocol"], told["scheme"]) == ("HTTP/2.0", "https")
    assert dial_tls(server, "http/1.1").selected_alpn_protocol() == "http/1.1"
    plain = dial_tls(server)
    assert plain.selected_alpn_protocol() is None
    plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert plain.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_http2_is_not_guessed_inside_tls(secure, dial_tls):
    """Without ALPN there is no HTTP/2 inside TLS (RFC 9113, section 3.3)."""
    server = secure("mirror", "--http2-cleartext", "prior-knowledge")
    sock = dial_tls(server)
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert sock.recv(1000).startswith((b"HTTP/1.1 505 ", b"HTTP/1.1 400 "))


def test_it_is_not_offered_unless_asked_for(serve, pair, dial_tls):
    chain, key = pair
    server = serve("mirror", "--certfile", str(chain), "--keyfile", str(key))
    assert dial_tls(server, "h2", "http/1.1").selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("size", [1, 200_000, 3_000_000])
def test_bodies_are_whole_both_ways(secure, authority, kind, size):
    server = secure("mirror", *kind)
    url = server.url.replace("http:", "https:")
    with httpx.Client(http2=True, verify=authority.context(), timeout=60) as client:
        for _ in range(2):
            response = client.post(url, content=b"x" * size)
            assert (response.http_version, response.status_code) == ("HTTP/2", 200)
            assert len(response.json()["body"]) == size


def test_a_stop_says_goodbye(secure, dial_tls):
    server = secure("sleepy", "--threads", "2")
    peer = Http2Peer(dial_tls(server, "h2"))
    stream = peer.get("/1500")
    peer.round_trip()
    server.signal(signal.SIGTERM)
    assert peer.response(stream).body == b"/1500"
    assert peer.ended() == NO_ERROR
    assert server.wait() == 0


def test_a_client_that_resets_ends_the_iteration(secure, dial_tls, kind):
    server = secure("responses", *kind)
    peer = Http2Peer(dial_tls(server, "h2"))
    stream = peer.get("/endless")
    peer.until(lambda: peer.stream(stream).body)
    peer.reset(stream)
    eventually(lambda: "closed /endless" in server.log())


def run(*command: str, home: Path | None = None) -> str:
    """What a program prints; it has to end well."""
    program = need(command[0])
    # Where a browser looks for more than its profile.
    own = {"HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""} if home else {}
    ended = subprocess.run(
        [program, *command[1:]],
        capture_output=True,
        timeout=180,
        check=False,
        env={**os.environ, **own},
    )
    assert ended.returncode == 0, ended
    return ended.stdout.decode(errors="replace")


def test_curl(secure, authority):
    server = secure("mirror", "--threads", "2")
    url = f"https://localhost:{server.port}/"
    printed = run(
        "curl", "-sS", "--fail", "--parallel", "--cacert", str(authority.file),
        "-w", "%{http_version}\\n",
        *[part for number in range(20) for part in ("-o", "/dev/null", f"{url}{number}")],
    )  # fmt: skip
    assert printed.split() == ["2"] * 20
    old = ("-sS", "--http1.1", "--cacert", str(authority.file), "-o", "/dev/null")
    assert run("curl", *old, "-w", "%{http_version}", url) == "1.1"


def test_h2load(secure):
    server = secure("sized", "--threads", "2")
    printed = run(
        "h2load", "-n", "2000", "-c", "4", "-m", "50", f"https://127.0.0.1:{server.port}/5000"
    )
    assert "2000 succeeded, 0 failed" in printed
    assert "Application protocol: h2" in printed


@pytest.fixture
def browse(authority, tmp_path):
    """What a headless Chromium makes of a page. It trusts the authority, as an operator would have
    it: by a database of certificates in its home; nothing else of a certificate is let pass."""
    home = tmp_path / "home"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)

    def certutil(*words: str) -> None:
        run("certutil", *words, "-d", f"sql:{database}")

    certutil("-N", "--empty-password")

    def load(url: str, *, trusts: bool = True) -> str:
        if trusts:
            certutil("-A", "-n", "Test", "-t", "C,,", "-i", str(authority.file))
        return run(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000",
            "--dump-dom", url, home=home,
        )  # fmt: skip

    return load


def test_a_browser_loads_a_page_with_its_assets(secure, browse):
    server = secure("page", "--threads", "2")
    dom = browse(f"https://localhost:{server.port}/")
    told = re.search(r'<p id="told">(.*?)</p>', dom)[1].split()
    assert told[-1] == "ran=first,second"
    assert {entry.partition("=")[0] for entry in told[:-1]} >= {
        "/", "/style.css", "/first.js", "/second.js", "/image.svg",
    }  # fmt: skip
    assert {entry.partition("=")[2] for entry in told[:-1]} == {"h2"}
    eventually(lambda: server.access_log().count("HTTP/2.0") >= 5)


def test_a_browser_that_does_not_know_the_authority_loads_nothing(secure, browse):
    """So what the other test sees is what the certificate is worth."""
    server = secure("page")
    assert 'id="told"' not in browse(f"https://localhost:{server.port}/", trusts=False)
    assert "received fatal alert" in server.log()
    assert "HTTP/2.0" not in server.access_log()


def test_a_client_that_takes_nothing_keeps_nobody_busy(secure, authority, dial_tls):
    """What it sends meanwhile is not looked at again and again."""
    server = secure("sized", "--client-send-timeout", "100", exit_status=None)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(30)
    plain.connect(server.address)
    context = authority.context()
    context.set_alpn_protocols(["h2"])
    peer = Http2Peer(context.wrap_socket(plain, server_hostname=NAME), windows=False)
    peer.raw_frame(SETTINGS, 0, 0, bytes([0, 4, 0x7F, 0xFF, 0xFF, 0xFF]))
    peer.window(0, 1 << 30)
    for _ in range(60):
        peer.get("/2000000")
    eventually(lambda: server.access_log().count(" 2000000 ") == 60)

    def cpu_secs() -> float:
        tasks = [task for pid in server.workers() for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def is_quiet() -> bool:
        before = cpu_secs()
        time.sleep(1)
        return cpu_secs() - before < 0.03

    eventually(is_quiet)
    # More than the window of the connection: it is to end, and its end waits for room as well.
    for _ in range(30):
        stream = peer.headers(fields("/10", "POST"), end=False)
        for _ in range(3):
            peer.data(stream, bytes(16000))
    other = Http2Peer(dial_tls(server, "h2"))
    assert len(other.response(other.get("/1000")).body) == 1000
    eventually(is_quiet)
    peer.socket.close()
    server.signal(signal.SIGQUIT)
    server.wait()
