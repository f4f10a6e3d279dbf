"""`oxicorn.client_disconnected`: an application can see that nobody waits for it any more."""

from __future__ import annotations

import socket
import struct

import pytest

from support import eventually


@pytest.fixture(params=[("--threads", "1"), ("--threads", "3"), ("-k", "gevent")], ids=" ".join)
def server(serve, request, tmp_path):
    if "gevent" in request.param:
        pytest.importorskip("gevent")
    return serve("watchful", *request.param, env={"WATCHFUL": str(tmp_path)})


def begin(peer, folder, what, name):
    peer.send(f"GET /{what}/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    eventually((folder / name).exists)


def test_a_client_that_closes_is_gone(server, dial, tmp_path):
    peer = dial(server)
    begin(peer, tmp_path, "until", "closed")
    peer.socket.close()
    eventually((tmp_path / "closed.gone").exists)
    assert dial(server).get("/").body == b"done"


def test_a_client_that_resets_is_gone(server, dial, tmp_path):
    peer = dial(server)
    begin(peer, tmp_path, "until", "reset")
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()
    eventually((tmp_path / "reset.gone").exists)


def test_a_client_that_waits_or_pipelines_is_there(server, dial, tmp_path):
    peer = dial(server)
    begin(peer, tmp_path, "ask", "first")
    peer.send(b"GET /keep HTTP/1.1\r\nHost: a\r\n\r\n")
    (tmp_path / "first.go").touch()
    assert peer.response().body == b"False"
    assert peer.response().body == b"False"


def test_what_came_before_the_end_hides_it_not(server, dial, tmp_path):
    peer = dial(server)
    begin(peer, tmp_path, "until", "behind")
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.socket.close()
    eventually((tmp_path / "behind.gone").exists)


def test_a_client_that_closed_its_side_counts_as_gone_and_is_answered(server, dial, tmp_path):
    peer = dial(server)
    begin(peer, tmp_path, "until", "half")
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.response().body == b"done"


def test_after_its_request_the_question_is_refused(serve, dial, tmp_path):
    peer = dial(serve("watchful", env={"WATCHFUL": str(tmp_path)}))
    assert peer.get("/keep").body == b"False"
    assert peer.get("/kept").body == b"called after the request ended"
