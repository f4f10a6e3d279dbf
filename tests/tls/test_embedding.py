"""`oxicorn.Server` and `oxicorn.WSGIServer` with a certificate."""

from __future__ import annotations

import http.client

import pytest

import oxicorn
from support import eventually


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['wsgi.url_scheme']} {environ['SSL_PROTOCOL']}".encode()]


def ask(port, authority):
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=60, context=authority.context()
    )
    connection.request("GET", "/")
    body = connection.getresponse().read()
    serial = connection.sock and connection.sock.getpeercert()["serialNumber"]
    connection.close()
    return body, serial


def test_a_server_speaks_tls(authority, pair):
    chain, key = map(str, pair)
    with oxicorn.Server(app, port=0, certfile=chain, keyfile=key) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert ask(server.port, authority)[0] == b"https TLSv1.3"
    server = oxicorn.WSGIServer(("127.0.0.1", 0), app, certfile=chain, keyfile=key)
    with server:
        assert ask(server.port, authority)[0] == b"https TLSv1.3"


def test_it_looks_itself_whether_files_have_changed(authority, tmp_path):
    files = {"certfile": tmp_path / "chain.pem", "keyfile": tmp_path / "key.pem"}

    def install():
        for target, source in zip(files.values(), authority.issue("127.0.0.1"), strict=True):
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)

    install()
    named = {name: str(path) for name, path in files.items()}
    with oxicorn.Server(app, port=0, **named) as server:
        first = ask(server.port, authority)[1]
        assert first
        install()
        eventually(lambda: ask(server.port, authority)[1] != first, within=60)


def test_bad_files_are_refused_at_the_start(pair, tmp_path):
    server = oxicorn.Server(app, port=0, certfile=str(tmp_path / "missing"), keyfile=str(pair[1]))
    with pytest.raises(ValueError, match="TLS: cannot read"):
        server.start()
    assert not server.is_running
