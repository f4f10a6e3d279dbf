"""Requests through TLS come out as any other does."""

from __future__ import annotations

import json
import re
import ssl
import subprocess

import pytest

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def client(request, authority):
    version = VERSIONS[request.param]
    return authority.context(minimum_version=version, maximum_version=version)


def told(response):
    assert response.status == 200
    return json.loads(response.body)


def test_environ_says_so(secure, dial_tls, client):
    server = secure("environs")
    peer = dial_tls(server, client)
    environ = told(peer.get())
    assert environ["wsgi.url_scheme"] == "'https'"
    assert environ["HTTPS"] == "'on'"
    assert environ["SERVER_PORT"] == repr(str(server.port))
    assert environ["SSL_PROTOCOL"] == repr(peer.socket.version())
    assert environ["SSL_CIPHER"] == repr(peer.socket.cipher()[0])
    assert environ["SSL_TLS_SNI"] == "'shop.example'"
    assert not [name for name in environ if name.startswith("SSL_CLIENT")]
    assert f"https://127.0.0.1:{server.port}" in server.log()


def test_fields_cannot_pretend_to_be_of_tls(serve, dial):
    fields = ("HTTPS: on", "SSL-CLIENT-VERIFY: SUCCESS", "SSL_CLIENT_S_DN: CN=root")
    environ = told(dial(serve("environs")).get("/", *fields))
    assert environ["wsgi.url_scheme"] == "'http'"
    assert not {"HTTPS", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN"} & environ.keys()


def test_a_trusted_proxy_has_the_last_word_on_the_scheme(secure, dial_tls):
    server = secure("environs")
    environ = told(dial_tls(server).get("/", "X-Forwarded-Proto: http"))
    assert environ["wsgi.url_scheme"] == "'http'"
    assert "HTTPS" not in environ


def test_a_connection_is_kept(mirror, dial_tls, client):
    peer = dial_tls(mirror, client)
    for number in range(5):
        assert told(peer.get(f"/{number}"))["path"] == f"/{number}"


def test_pipelined_requests_in_one_record_are_all_answered(mirror, dial_tls, client):
    peer = dial_tls(mirror, client)
    post = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000
    peer.send(post * 2 + b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    bodies = [told(peer.response()) for _ in range(5)]
    assert [body["path"] for body in bodies] == ["/a", "/a", "/b", "/b", "/b"]
    assert [len(body["body"]) for body in bodies] == [70000, 70000, 0, 0, 0]


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_chunked_body_in_tiny_records(secure, dial_tls, buffering):
    peer = dial_tls(secure("mirror", "--request-buffering", buffering))
    data = bytes(range(97, 123)) * 4
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:50], data[50:]))
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    # One byte, one record, one segment.
    peer.send_in_pieces(request + b"0\r\n\r\n")
    assert told(peer.response())["body"].encode() == data
    assert told(peer.get("/next"))["path"] == "/next"


@pytest.mark.parametrize("size", [1, 16384, 1_000_000, 9_000_000])
def test_a_body_of_any_size_comes_whole(secure, dial_tls, client, size):
    peer = dial_tls(secure("mirror"), client)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body)
    assert told(peer.response())["body"].encode("latin-1") == body


@pytest.mark.parametrize("path", ["/20000000", "/20000000/7", "/20000000/300000"])
def test_a_slow_reader_gets_everything(secure, dial_tls, client, path):
    if path.endswith("/7"):
        path = "/700000/7"
    server = secure("sized")
    peer = dial_tls(server, client)
    peer.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    # The application's thread is not held up by it.
    assert dial_tls(server, client).get("/1").body == b"x"
    response = peer.response()
    assert len(response.body) == int(path.split("/")[1])
    assert not response.body.strip(b"x")
    assert peer.get("/3").body == b"xxx"


def test_expect_continue(mirror, dial_tls, client):
    peer = dial_tls(mirror, client)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert peer.head().status == 100
    peer.send(b"abc")
    assert told(peer.response())["body"] == "abc"


def test_the_end_of_a_whole_response_is_a_proper_one(secure, dial_tls, client):
    peer = dial_tls(secure("hello"), client)
    client.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    peer.send(b"GET / HTTP/1.0\r\n\r\n")
    assert peer.response().body == b"hello\n"
    # Without close_notify, `recv` would raise.
    peer.socket.suppress_ragged_eofs = False
    assert peer.socket.recv(1) == b""


def test_the_cut_of_a_response_does_not_look_like_its_end(secure, authority, dial_tls):
    server = secure("responses")
    peer = dial_tls(server, authority.context())
    peer.send(b"GET /raise_later HTTP/1.0\r\n\r\n")
    peer.socket.suppress_ragged_eofs = False
    received = iter(lambda: peer.socket.recv(65536), b"")
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        b"".join(received)


def test_a_client_may_leave_without_close_notify(mirror, dial_tls):
    for _ in range(3):
        peer = dial_tls(mirror)
        assert peer.get().status == 200
        peer.socket.close()
    assert dial_tls(mirror).get().status == 200
    assert not re.search("ERROR|CRITICAL", mirror.log())


def test_a_client_that_says_goodbye_gets_one_back(mirror, dial_tls, client):
    peer = dial_tls(mirror, client)
    assert peer.get().status == 200
    plain = peer.socket.unwrap()
    assert plain.recv(1) == b""
    plain.close()


def test_curl(mirror, authority):
    for version in ("--tls-max", "1.2"), ("--tlsv1.3",):
        done = subprocess.run(
            [
                "curl", "--silent", "--fail", "--cacert", str(authority.file), *version,
                "--resolve", f"shop.example:{mirror.port}:127.0.0.1", "--data", "a=b",
                f"https://shop.example:{mirror.port}/one?x=y",
            ],
            capture_output=True,
            timeout=60,
            check=True,
        )  # fmt: skip
        told = json.loads(done.stdout)
        assert (told["scheme"], told["body"], told["query"]) == ("https", "a=b", "x=y")


def test_a_unix_socket_speaks_it_too(secure, dial_tls, tmp_path):
    server = secure("environs", bind=f"unix:{tmp_path / 'a.sock'}")
    environ = told(dial_tls(server).get())
    assert (environ["HTTPS"], environ["SERVER_PORT"]) == ("'on'", "'443'")


@pytest.mark.parametrize("kind", ["gthread", "gevent", "eventlet", "tornado"])
def test_every_worker_class(secure, dial_tls, client, kind):
    server = secure("mirror", "-k", kind, "--threads", "2" if kind == "gthread" else "1")
    peer = dial_tls(server, client)
    for size in (0, 10, 300_000):
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        response = told(peer.response())
        assert (response["scheme"], len(response["body"])) == ("https", size)


def test_a_file_is_sent_whole(secure, dial_tls, client):
    server = secure("responses")
    peer = dial_tls(server, client)
    plain = peer.get("/file")
    assert plain.status == 200
    assert plain.body
