"""`requests`, with its pool of kept connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support import eventually


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("mirror", "--keep-alive", "1", workers=2)


def test_session_outlives_an_idle_limit(server):
    """A pooled connection that the server closed meanwhile is replaced without an error."""
    with requests.Session() as session:
        session.trust_env = False
        for number in range(3):
            answer = session.get(f"{server.url}/{number}", timeout=30)
            assert answer.json()["path"] == f"/{number}"
            eventually(lambda: not server.connections())


def test_a_pool_of_connections(server):
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        session.trust_env = False
        answers = threads.map(
            lambda n: session.post(f"{server.url}/{n}", data=b"x" * n).json(), range(80)
        )
        assert [len(told["body"]) for told in answers] == list(range(80))
