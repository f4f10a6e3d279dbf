"""Every case of the corpus over a real socket; the machine's own tests run the same files."""

from __future__ import annotations

import json

import pytest

from support import Case, Peer, Response, Server, cases, eventually

ACCEPT, REJECT = cases("accept"), cases("reject")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("mirror", workers=2)


def test_corpus_is_there():
    assert len(ACCEPT) > 20
    assert len(REJECT) > 20


@pytest.mark.parametrize("cut", ["whole", "pieces"])
@pytest.mark.parametrize("case", ACCEPT, ids=lambda case: case.name)
def test_accepted(server, dial, case, cut):
    before = lines(server)
    peer = dial(server)
    send(peer, case.data, cut)
    answers = [answer(peer, case) for _ in range(case.facts["requests"])]
    served = len(answers)
    assert [response.status for response in answers] == [200] * len(answers)
    if method(case) != "HEAD":
        told = [json.loads(response.body) for response in answers]
        assert "".join(each["body"] for each in told) == case.facts["body"]
    if case.facts["persistent"]:
        assert json.loads(peer.get("/next").body)["path"] == "/next"
        served += 1
    else:
        assert peer.closed_by_server()
    eventually(lambda: lines(server) - before == served)


@pytest.mark.parametrize("cut", ["whole", "pieces"])
@pytest.mark.parametrize("case", REJECT, ids=lambda case: case.name)
def test_rejected(server, dial, case, cut):
    """The documented status, the end of the connection, nothing served after it, one line."""
    before = lines(server)
    peer = dial(server)
    send(peer, case.data + SMUGGLED, cut)
    for _ in range(case.facts["requests"]):
        assert answer(peer, case).status == 200
    refusal = answer(peer, case)
    assert (refusal.status, refusal.closes) == (case.facts["status"], True)
    assert peer.closed_by_server()
    eventually(lambda: lines(server) - before == case.facts["requests"] + 1)
    last = server.access_log().splitlines()[-1]
    assert f'" {case.facts["status"]} ' in last
    assert "/smuggled HTTP" not in server.access_log()


def send(peer: Peer, data: bytes, cut: str) -> None:
    if cut == "whole":
        peer.send(data)
    else:
        peer.send_in_pieces(data, 1 + len(data) // 200)


def answer(peer: Peer, case: Case) -> Response:
    """The next final response; a client that sent its body at once may still be told to go on."""
    return peer.response(to=method(case), interim_allowed=b"100-continue" in case.data.lower())


def method(case: Case) -> str:
    return case.data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")


def lines(server: Server) -> int:
    return server.access_log().count("\n")
