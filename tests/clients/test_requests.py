"""`requests`, with its pool of kept connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests


@pytest.fixture(scope="module")
def url(serve_module):
    return serve_module("mirror", "--keep-alive", "1", workers=2).url


def test_session_outlives_an_idle_limit(url):
    """A pooled connection that the server closed meanwhile is replaced without an error."""
    with requests.Session() as session:
        session.trust_env = False
        for number in range(3):
            assert session.get(f"{url}/{number}", timeout=30).json()["path"] == f"/{number}"
            adapter = session.get_adapter(url)
            pool = adapter.poolmanager.connection_from_url(url)
            connection = pool._get_conn()
            assert connection.sock.recv(1) == b""  # waits for the server's end
            pool._put_conn(connection)


def test_a_pool_of_connections(url):
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        session.trust_env = False
        answers = threads.map(lambda n: session.post(f"{url}/{n}", data=b"x" * n).json(), range(80))
        assert [len(told["body"]) for told in answers] == list(range(80))
