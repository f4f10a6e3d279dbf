"""waitress's keywords: the same program with either server, and what only one of them takes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oxicorn
from apps.hello import app as hello
from support import Peer, Response, eventually
from support.server import environment, free_port

PROGRAM = """
import json, os, signal, socket, sys, warnings
from {server} import serve

warnings.simplefilter("ignore", DeprecationWarning)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))

NAMES = ("SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR", "HTTP_HOST", "HTTP_X_FORWARDED_FOR",
         "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "wsgi.url_scheme")

def app(environ, start_response):
    size = len(environ["wsgi.input"].read())
    if environ["PATH_INFO"].endswith("/boom"):
        raise RuntimeError("boom")
    body = json.dumps({{"size": size, **{{name: environ.get(name) for name in NAMES}}}}).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

serve(app, {arguments})
"""


class Program:
    """A program that serves on a unix socket, or where the test says."""

    def __init__(self, server: str, arguments: str, folder: Path) -> None:
        self.path = str(folder / "http.sock")
        where = (
            "" if "listen=" in arguments or "sockets=" in arguments else "unix_socket='http.sock', "
        )
        text = PROGRAM.format(server=server, arguments=f"{where}{arguments}")
        (folder / "program.py").write_text(text)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "program.py"],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def dial(self, address: tuple[str, int] | str | None = None) -> Peer:
        """A connection, as soon as one is taken."""
        target = address or self.path

        def connected() -> socket.socket | None:
            assert self.process.poll() is None, self._log.read_text()
            family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
            sock = socket.socket(family)
            sock.settimeout(30)
            try:
                sock.connect(target)
            except OSError:
                sock.close()
                return None
            return sock

        sock = eventually(connected, within=60)
        assert sock is not None
        return Peer(sock)

    def ask(self, path: str = "/", fields: str = "", body: bytes = b"") -> Response:
        """One request on a connection of its own."""
        peer = self.dial()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        method = "POST" if body else "GET"
        peer.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{length}{fields}\r\n".encode() + body)
        response = peer.response()
        peer.socket.close()
        return response

    def see(self, path: str = "/", fields: str = "") -> dict[str, str | None]:
        """What the application sees of a request."""
        seen = json.loads(self.ask(path, fields).body)
        assert isinstance(seen, dict)
        return seen

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert "panicked" not in self._log.read_text()


@pytest.fixture(params=["waitress", "oxicorn"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Starts the program with one of the servers."""
    programs: list[Program] = []

    def run(arguments: str) -> Program:
        programs.append(Program(request.param, arguments, tmp_path))
        return programs[-1]

    yield run
    for each in programs:
        each.end()


def test_unix_socket_is_for_its_owner(start):
    program = start("threads=2")
    assert program.ask().status == 200
    assert stat.S_IMODE(Path(program.path).stat().st_mode) == 0o600


def test_unix_socket_permissions(start):
    program = start("unix_socket_perms='660'")
    assert program.ask().status == 200
    assert stat.S_IMODE(Path(program.path).stat().st_mode) == 0o660


def test_scheme_and_prefix(start):
    program = start("url_scheme='https', url_prefix='/shop/'")
    seen = program.see("/shop/cart")
    assert (seen["wsgi.url_scheme"], seen["SCRIPT_NAME"]) == ("https", "/shop")
    assert seen["PATH_INFO"] == "/cart"
    assert program.see("/shop")["PATH_INFO"] == ""
    assert program.see("/shopping")["PATH_INFO"] == "/shopping"


def test_ident(start):
    assert start("ident='shop'").ask().get("Server") == "shop"


def test_no_ident(start):
    assert start("ident=None").ask().get("Server") is None


def test_largest_body(start):
    program = start("max_request_body_size=1000")
    assert program.ask(body=b"x" * 900).status == 200
    assert program.ask(body=b"x" * 1001).status == 413


def test_largest_field(start):
    program = start("max_request_header_size=20000")
    assert program.ask(fields=f"X-Large: {'x' * 12000}\r\n").status == 200
    assert program.ask(fields=f"X-Large: {'x' * 70000}\r\n").status in (400, 431)


def test_errors_are_not_shown(start):
    response = start("expose_tracebacks=False").ask("/boom")
    assert response.status == 500
    assert b"RuntimeError" not in response.body


def test_nobody_is_believed_unless_named(start):
    program = start("clear_untrusted_proxy_headers=True")
    seen = program.see(fields="X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: b\r\n")
    assert (seen["HTTP_X_FORWARDED_FOR"], seen["HTTP_X_FORWARDED_HOST"]) == (None, None)
    assert seen["HTTP_HOST"] == "a"


@pytest.mark.parametrize(("count", "client"), [(1, "3.3.3.3"), (2, "2.2.2.2")])
def test_trusted_proxy(start, count, client):
    program = start(
        f"trusted_proxy='*', trusted_proxy_count={count}, "
        "trusted_proxy_headers={'x-forwarded-for', 'x-forwarded-proto'}"
    )
    seen = program.see(
        fields="X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: evil\r\n"
    )
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (client, "https")
    assert (seen["HTTP_HOST"], seen["HTTP_X_FORWARDED_HOST"]) == ("a", None)


def test_trusted_proxy_by_itself_says_the_scheme(start):
    seen = start("trusted_proxy='*'").see(
        fields="X-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4\r\n"
    )
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["REMOTE_ADDR"] != "1.2.3.4"


def test_forwarded(start):
    program = start("trusted_proxy='*', trusted_proxy_headers='forwarded'")
    seen = program.see(fields="Forwarded: for=1.1.1.1, for=2.2.2.2;proto=https;host=shop\r\n")
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("2.2.2.2", "https")
    assert seen["HTTP_HOST"] == "shop"


def test_several_places(start):
    one, two = free_port(), free_port()
    program = start(f"listen='127.0.0.1:{one} 127.0.0.1:{two}'")
    for port in (one, two):
        peer = program.dial(("127.0.0.1", port))
        assert peer.get().status == 200
        peer.socket.close()


def test_sockets_that_are_bound(start):
    port = free_port()
    program = start(
        f"sockets=[(lambda s: (s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), "
        f"s.bind(('127.0.0.1', {port})), s)[-1])(socket.socket())]"
    )
    peer = program.dial(("127.0.0.1", port))
    assert peer.get().status == 200
    peer.socket.close()


# What has no counterpart to compare with.


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("asyncore_use_poll", True),
        ("asyncore_loop_timeout", 1),
        ("recv_bytes", 8192),
        ("send_bytes", 18000),
        ("cleanup_interval", 30),
        ("outbuf_overflow", 1048576),
        ("channel_request_lookahead", 5),
        ("expose_tracebacks", True),
        ("log_socket_errors", True),
        ("log_untrusted_proxy_headers", True),
        ("server_name", "shop"),
    ],
)
def test_what_cannot_be_honoured_is_warned_of(keyword, value):
    with pytest.warns(UserWarning, match=f"`{keyword}` has no effect: ") as caught:
        oxicorn.Server(hello, **{keyword: value})
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    "keywords",
    [
        {"channel_request_lookahead": 0},
        {"expose_tracebacks": False},
        {"log_socket_errors": "no"},
        {"log_untrusted_proxy_headers": "false"},
        {"url_scheme": "http", "url_prefix": "", "_quiet": True},
        {"connection_limit": 5000, "channel_timeout": 60, "inbuf_overflow": 524288},
        {"outbuf_high_watermark": 16777216, "backlog": 1024, "threads": "8"},
    ],
)
def test_what_is_honoured_is_silent(keywords, recwarn):
    oxicorn.Server(hello, **keywords)
    assert [str(warning.message) for warning in recwarn] == []


def test_every_place_of_a_family(talk):
    with oxicorn.Server(hello, listen="*:0", ipv6=False) as server:
        assert server.address == ("0.0.0.0", server.port)
    with oxicorn.Server(hello, host="*", port=0, ipv6=False) as server:
        assert talk(("127.0.0.1", server.port)).get().body == b"hello\n"


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"listen": "*:1", "port": 2}, "`listen` and `port` both"),
        ({"listen": "*:1", "unix_socket": "x"}, "`listen` and `unix_socket` both"),
        ({"unix_socket": "x", "bind": "y"}, "`unix_socket` and `bind` both"),
        ({"sockets": [], "url_scheme": "https"}, "`sockets`: expected sockets"),
        ({"trusted_proxy_count": 2}, "no meaning without `trusted_proxy`"),
        ({"listen": "", "ipv6": True}, "`listen`: expected HOST:PORT"),
    ],
)
def test_contradictions_are_refused(keywords, problem):
    with pytest.raises(TypeError, match=problem):
        oxicorn.Server(hello, **keywords)


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"trusted_proxy": "*", "trusted_proxy_headers": "x-real-ip"}, "no such field: x-real-ip"),
        (
            {"trusted_proxy": "*", "trusted_proxy_headers": ["forwarded", "x-forwarded-for"]},
            "exclude",
        ),
        ({"unix_socket": "x", "unix_socket_perms": "rw"}, "invalid literal"),
    ],
)
def test_wrong_values_are_refused(keywords, problem):
    with pytest.raises(ValueError, match=problem):
        oxicorn.Server(hello, **keywords)


def test_workers_make_a_master_of_it_all_the_same(tmp_path):
    """waitress's keywords go with oxicorn's own."""
    program = Program("oxicorn", "workers=2, ident='shop', threads=2", tmp_path)
    try:
        assert program.ask().get("Server") == "shop"
    finally:
        program.end()
