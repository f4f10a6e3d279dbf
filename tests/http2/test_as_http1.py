"""What an application and its operator cannot tell from HTTP/1: limits, ends, lines of the log."""

from __future__ import annotations

import json
import re
import ssl

import pytest

from support import eventually
from support.certificates import Authority
from support.http2 import NO_ERROR, PROTOCOL_ERROR, Http2Peer, fields

NAME = "shop.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def dial_secure(serve, authority):
    """Starts a server inside TLS and opens a connection of HTTP/2, with bytes before that."""
    sockets: list[ssl.SSLSocket] = []

    def connect(app: str, *options: str, before: bytes = b"") -> Http2Peer:
        chain, key = authority.issue(NAME)
        files = ("--certfile", str(chain), "--keyfile", str(key), "--http-protocols", "h2")
        plain = serve(app, *files, *options).connect()
        plain.sendall(before)
        context = authority.context()
        context.set_alpn_protocols(["h2"])
        sockets.append(context.wrap_socket(plain, server_hostname=NAME))
        assert sockets[-1].selected_alpn_protocol() == "h2"
        return Http2Peer(sockets[-1])

    yield connect
    for sock in sockets:
        sock.close()


@pytest.mark.parametrize(
    ("options", "path", "more"),
    [
        (("--limit-request-line", "100"), "/" + "x" * 100, []),
        (("--limit-request-fields", "5"), "/", [(f"x-{n}", "1") for n in range(6)]),
        (("--limit-request-field_size", "50"), "/", [("x-long", "y" * 60)]),
        (("--header-map", "refuse"), "/", [("x_y", "1")]),
    ],
    ids=["line", "fields", "field", "underscore"],
)
def test_limits_of_heads(serve2, dial, dial2, options, path, more):
    server = serve2("mirror", *options)
    lines = "".join(f"{name}: {value}\r\n" for name, value in more)
    plain = dial(server)
    plain.send(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n".encode())
    expected = plain.response()
    assert 400 <= expected.status < 500
    peer = dial2(server)
    response = peer.response(peer.get(path, *more))
    assert (response.status, response.body) == (expected.status, expected.body)
    assert peer.response(peer.get("/")).status == 200
    eventually(lambda: server.access_log().count(f" {expected.status} ") == 2)


ATOMS = (
    "%(h)s %(l)s %(u)s %(t)s <%(r)s> %(m)s %(U)s %(q)s %(H)s %(s)s %(st)s %(B)s %(b)s %(f)s %(a)s "
    "%(T)s %(M)s %(D)s %(L)s %(p)s %({x-a}i)s %({content-type}o)s %({wsgi.url_scheme}e)s"
)


def test_every_atom_of_the_access_log(serve2, dial, dial2):
    server = serve2("mirror", "--access-logformat", "line " + ATOMS)
    basic = "Basic dXNlcjpwYXNz"
    plain = dial(server)
    plain.send(
        b"GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nAuthorization: " + basic.encode() + b"\r\n"
        b"User-Agent: it\r\nReferer: there\r\nX-A: seen\r\n\r\n"
    )
    assert plain.response().status == 200
    more = [("authorization", basic), ("user-agent", "it"), ("referer", "there"), ("x-a", "seen")]
    peer = dial2(server)
    assert peer.response(peer.get("/a?b=c", *more)).status == 200

    def lines() -> list[str]:
        found = [line for line in server.access_log().splitlines() if line.startswith("line ")]
        return found if len(found) == 2 else []

    def steady(line: str) -> str:
        # Times, and a length that has the protocol's name in it.
        line = re.sub(r"\[[^]]+\]", "[]", line).replace("HTTP/2.0", "HTTP/1.1")
        before, told, after = line.partition(" it ")
        return re.sub(r" \d{2,5} \d{2,5} ", " N N ", before) + told + after.split(" ", 5)[5]

    first, second = eventually(lines)
    assert "<GET /a?b=c HTTP/2.0>" in second
    assert " user " in second
    assert second.endswith(" seen application/json http")
    assert steady(first) == steady(second)


def test_the_client_is_who_the_proxy_line_names(dial_secure):
    """PROXY, then TLS, then HTTP/2."""
    peer = dial_secure(
        "mirror",
        *("--proxy-protocol", "auto", "--proxy-protocol-from", "127.0.0.1"),
        before=b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n",
    )
    for _ in range(2):
        assert json.loads(peer.response(peer.get()).body)["peer"] == "203.0.113.9"


@pytest.mark.parametrize(("trusted", "scheme"), [("127.0.0.1", "http"), ("192.0.2.1", "https")])
def test_forwarding_fields_count_from_trusted_peers_only(dial_secure, trusted, scheme):
    peer = dial_secure("mirror", "--forwarded-allow-ips", trusted)
    told = json.loads(peer.response(peer.get("/", ("x-forwarded-proto", "http"))).body)
    assert told["scheme"] == scheme


def test_without_keep_alive_a_connection_ends_with_its_requests(serve2, dial2):
    peer = dial2(serve2("mirror", "--keep-alive", "0"))
    response = peer.response(peer.get())
    assert (response.status, response.reset) == (200, None)
    assert peer.ended() == NO_ERROR


@pytest.mark.parametrize("path", ["/closing", "/switching"])
def test_what_speaks_of_connections_is_no_matter_of_streams(serve2, dial2, tmp_path, path):
    """`Connection: close` is left out, and 101, which HTTP/2 has not, is a failure."""
    (tmp_path / "speaking.py").write_text(
        "def app(environ, start):\n"
        "    switching = environ['PATH_INFO'] == '/switching'\n"
        "    status = '101 Switching Protocols' if switching else '200 OK'\n"
        "    start(status, [('Content-Length', '2'), ('Connection', 'close')][: 2 - switching])\n"
        "    return [b'ok']\n"
    )
    peer = dial2(serve2(None, "speaking:app", cwd=tmp_path))
    response = peer.response(peer.get(path))
    if path == "/closing":
        assert (response.status, response.body, response.reset) == (200, b"ok", None)
    else:
        assert response.status == 500 or response.reset is not None
    assert peer.response(peer.get("/closing")).body == b"ok"


def test_a_websocket_is_not_opened(serve2, dial2):
    """RFC 8441 is not offered, and RFC 6455 is for HTTP/1."""
    peer = dial2(serve2("mirror", "--threads", "2"))
    peer.until(lambda: peer.settings)
    assert 8 not in peer.settings
    key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    version = ("sec-websocket-version", "13")
    connect = [*fields("/", "CONNECT"), (":protocol", "websocket"), key, version]
    assert peer.response(peer.headers(connect)).reset == PROTOCOL_ERROR
    asked = peer.get("/", key, version, ("upgrade", "websocket"), ("connection", "upgrade"))
    assert peer.response(asked).reset == PROTOCOL_ERROR
    assert peer.response(peer.get("/", key, version)).status == 200
