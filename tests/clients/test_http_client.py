"""The client of the standard library, which many others are made of."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from apps.site import DOWNLOAD


@pytest.fixture(scope="module")
def port(serve_module):
    return serve_module("mirror", "--threads", "2", workers=2).port


@pytest.fixture
def connection(port):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    yield connection
    connection.close()


def ask(connection: HTTPConnection, method: str, path: str, **more: object) -> dict[str, object]:
    connection.request(method, path, **more)  # type: ignore[arg-type]
    response = connection.getresponse()
    assert response.status == 200
    return json.loads(response.read())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "REPORT"])
def test_methods_share_a_connection(connection, method):
    for number in range(3):
        told = ask(connection, method, f"/{number}", body=b"body" if number else None)
        assert (told["method"], told["path"]) == (method, f"/{number}")
        assert told["body"] == ("body" if number else "")


def test_chunked_upload(connection):
    pieces = [DOWNLOAD[n : n + 10_000] for n in range(0, 300_000, 10_000)]
    told = ask(connection, "POST", "/", body=iter(pieces), encode_chunked=True)
    assert told["body"].encode("latin-1") == b"".join(pieces)


def test_fields_arrive(connection):
    headers = {"X-One": "1", "Accept": "a, b", "Cookie": "a=1; b=2", "X-Latin": "caf\xe9"}
    told = ask(connection, "GET", "/", headers=headers)
    fields = told["fields"]
    assert (fields["HTTP_X_ONE"], fields["HTTP_ACCEPT"]) == ("1", "a, b")
    assert (fields["HTTP_COOKIE"], fields["HTTP_X_LATIN"]) == ("a=1; b=2", "caf\xe9")


def test_many_clients_at_once_get_their_own_answers(port):
    def visit(client: int) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(50):
            body = f"{client}:{number}".encode() * (client * 100 + 1)
            told = ask(connection, "POST", f"/{client}/{number}", body=body)
            assert told["path"] == f"/{client}/{number}"
            assert told["body"] == body.decode()
        connection.close()
        return client

    with ThreadPoolExecutor(20) as clients:
        assert list(clients.map(visit, range(20))) == list(range(20))
