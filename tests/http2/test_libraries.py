"""HTTP/2 inside TLS by the APIs of gevent, Tornado and eventlet, with clients as they are."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import ssl
import sys

import httpx
import pytest

from support import eventually
from support.certificates import Authority
from support.http2 import NO_ERROR, Http2Peer
from support.program import Program
from support.server import TESTS

LIBRARIES = ["gevent", "tornado", "tornado inline", "eventlet"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


class Serving:
    """A program that serves, and ways to it."""

    def __init__(self, program: Program, authority: Authority) -> None:
        self.program, self.authority = program, authority
        self.port = int(eventually(self._said))
        self.sockets: list[socket.socket] = []

    def _said(self) -> str:
        assert self.program.process.poll() is None, self.program.log()
        return self.program.out().strip()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def dial(self, *protocols: str) -> ssl.SSLSocket:
        context = self.authority.context()
        if protocols:
            context.set_alpn_protocols(list(protocols))
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.sockets.append(sock)
        secure = context.wrap_socket(sock, server_hostname="127.0.0.1")
        self.sockets.append(secure)
        return secure

    def peer(self) -> Http2Peer:
        sock = self.dial("h2", "http/1.1")
        assert sock.selected_alpn_protocol() == "h2"
        return Http2Peer(sock)


@pytest.fixture
def start(authority, tmp_path):
    """Starts a library's server; it has to end well."""
    started: list[Program] = []
    served: list[Serving] = []

    def start(library: str, protocols: str = "h2,h1") -> Serving:
        package = library.partition(" ")[0]
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
        chain, key = authority.issue("127.0.0.1")
        program = str(TESTS / "apps" / "http2_libraries.py")
        command = [sys.executable, program, library, protocols, str(chain), str(key)]
        started.append(Program(command, tmp_path, {"PYTHONWARNINGS": "ignore"}))
        served.append(Serving(started[-1], authority))
        return served[-1]

    yield start
    for serving in served:
        for sock in serving.sockets:
            sock.close()
    for program in started:
        program.end()


@pytest.mark.parametrize("library", LIBRARIES)
def test_clients_of_both_protocols(start, library):
    serving = start(library)
    body = b"x" * 300_000
    for http2 in (True, False):
        with httpx.Client(http2=http2, verify=serving.authority.context(), timeout=60) as client:
            for number in range(3):
                response = client.post(f"{serving.url}/mirror/{number}?a=b", content=body)
                assert response.status_code == 200
                assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                told = response.json()
                assert told["protocol"] == ("HTTP/2.0" if http2 else "HTTP/1.1")
                assert (told["scheme"], told["query"]) == ("https", "a=b")
                assert len(told["body"]) == len(body)
    if library in ("gevent", "eventlet"):
        log = eventually(lambda: text if "HTTP/1.1" in (text := serving.program.log()) else "")
        assert '"POST /mirror/0?a=b HTTP/2.0" 200 ' in log


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "tornado inline"])
def test_streams_run_at_the_same_time(start, library):
    peer = start(library).peer()
    slow, quick = peer.get("/sleepy/2000"), peer.get("/sleepy/1")
    assert peer.response(quick).status == 200
    assert not peer.stream(slow).is_over
    assert peer.response(slow).status == 200


@pytest.mark.parametrize("library", LIBRARIES)
def test_responses_as_they_come_and_go(start, library):
    """Interim responses, many streams, and one that its client does not want any more."""
    serving = start(library)
    peer = serving.peer()
    hinted = peer.response(peer.get("/responses/hints"))
    assert [each[":status"] for each in hinted.interim] == ["103"]
    assert hinted.status == 200
    streams = [peer.get(f"/mirror/{number}") for number in range(50)]
    for number, stream in enumerate(streams):
        assert json.loads(peer.response(stream).body)["path"] == f"/{number}"
    endless = peer.get("/responses/endless")
    peer.until(lambda: peer.stream(endless).body)
    peer.reset(endless)
    eventually(lambda: "closed /endless" in serving.program.log())
    assert peer.response(peer.get("/mirror/after")).status == 200


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stop_answers_what_was_asked_and_says_goodbye(start, library):
    serving = start(library)
    idle = serving.peer()
    assert idle.response(idle.get("/sleepy/0")).status == 200
    peer = serving.peer()
    stream = peer.get("/sleepy/1000")
    peer.round_trip()
    serving.program.signal(signal.SIGTERM)
    assert peer.response(stream).body == b"/1000"
    assert peer.ended() == NO_ERROR
    assert idle.ended() == NO_ERROR
    assert serving.program.process.wait(60) == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_http2_alone(start, library):
    serving = start(library, "h2")
    peer = serving.peer()
    assert peer.response(peer.get("/mirror/")).status == 200
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        serving.dial("http/1.1")
    with serving.dial() as plain:
        plain.sendall(b"GET /mirror/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert plain.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_what_reads_connections_itself_speaks_http1(authority):
    """There the protocol is refused, as nobody could read it."""
    pytest.importorskip("tornado")
    from oxicorn.tornado import HTTPServer, WSGIContainer

    chain, key = authority.issue("127.0.0.1")
    tls = {"certfile": str(chain), "keyfile": str(key), "http_protocols": "h2,h1"}
    with pytest.raises(TypeError, match="http_protocols: "):
        HTTPServer(WSGIContainer(print), ssl_options=tls, decompress_request=True)
    pytest.importorskip("gevent")
    from oxicorn.gevent import WSGIServer

    class Whole(WSGIServer):
        def handle(self, sock, address):
            """Wants the connection, and so its bytes."""

    server = Whole(("127.0.0.1", 0), print, log=None, **tls)
    with pytest.raises(ValueError, match="http_protocols: "):
        server.start()
    server.close()
