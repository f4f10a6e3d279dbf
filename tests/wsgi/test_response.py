"""What an application answers, and how it comes out of the wire."""

from __future__ import annotations

import pytest

from support import eventually


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("responses")


@pytest.fixture
def peer(server, dial):
    return dial(server)


def request(peer, method, target, version="1.1"):
    peer.send(f"{method} {target} HTTP/{version}\r\nHost: a\r\n\r\n".encode())
    return peer.response(to=method)


@pytest.mark.parametrize(
    ("path", "body", "length"),
    [
        ("/list", b"one", "3"),
        ("/tuple", b"one", "3"),
        ("/empty", b"", "0"),
        ("/empties", b"", "0"),
        ("/keywords", b"one", "3"),
        ("/big", b"x" * 3_000_000, "3000000"),
        ("/write_only", b"one", "3"),
        ("/pair", b"onetwo", "6"),
        ("/generator", b"onetwo", None),
        ("/write", b"one,two,three", None),
        ("/bigs", b"x" * 5_000_000, None),
    ],
)
def test_body_and_its_framing(peer, path, body, length):
    for _ in range(2):
        response = peer.get(path)
        assert (response.status, response.body) == (200, body)
        assert response.get("Content-Length") == length
        assert response.is_chunked == (length is None)


@pytest.mark.parametrize("path", ["/list", "/pair", "/generator", "/write"])
def test_no_chunks_for_http_10(peer, path):
    response = request(peer, "GET", path, "1.0")
    assert not response.is_chunked
    assert response.body in (b"one", b"onetwo", b"one,two,three")
    assert peer.closed_by_server()


def test_each_item_is_a_chunk(peer):
    assert peer.get("/generator").chunks == [3, 3]
    assert peer.get("/write").chunks == [4, 4, 5]


def test_fields_as_given(peer):
    response = peer.get("/fields")
    assert (response.status, response.reason) == (200, "Fine, thanks")
    assert response.all("Set-Cookie") == ["a=1", "b=\xe9"]
    assert ("x-MiXed", "kept") in response.fields
    assert response.get("X-Pair") == "in a list"


def test_own_date_and_server(peer):
    response = peer.get("/own_date")
    assert response.get("Date") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.get("Server") == "mine"
    assert peer.get("/list").get("Date") is not None


def test_connection_close_is_honoured(peer):
    assert peer.get("/close").closes
    assert peer.closed_by_server()


def test_hop_by_hop_fields_are_left_out(server, peer):
    for _ in range(2):
        response = peer.get("/hop_by_hop")
        assert (response.body, response.get("Content-Length")) == (b"one", "3")
        assert response.get("Keep-Alive") is None
    eventually(lambda: "hop-by-hop" in server.log())
    assert server.log().count("hop-by-hop") == 1


@pytest.mark.parametrize(
    ("path", "length"), [("/list", "3"), ("/big", "3000000"), ("/generator", None)]
)
def test_head_has_the_fields_of_get(peer, path, length):
    response = request(peer, "HEAD", path)
    assert (response.status, response.body) == (200, b"")
    assert response.get("Content-Length") == length
    assert peer.get("/list").body == b"one"


def test_empty_answer_to_head_claims_no_length(peer):
    assert request(peer, "HEAD", "/empty").get("Content-Length") is None
    assert peer.get("/list").body == b"one"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/endless", 200)],
)
def test_no_body_where_none_may_be(server, peer, method, path, status):
    response = request(peer, method, path)
    assert (response.status, response.body) == (status, b"")
    eventually(lambda: f"closed {path}" in server.log())
    assert peer.get("/list").body == b"one"


def test_fewer_bytes_than_content_length_end_the_connection(server, peer):
    peer.send(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    assert peer.head().get("Content-Length") == "10"
    assert peer.rest() == b"one"
    eventually(lambda: "closed /short" in server.log())


@pytest.mark.parametrize(("path", "body"), [("/long", b"onet"), ("/long_list", b"on")])
def test_more_bytes_than_content_length_never_go_out(server, peer, path, body):
    assert peer.get(path).body == body
    assert peer.closed_by_server()
    eventually(lambda: "more than its Content-Length" in server.log())
    assert server.log().count("more than its Content-Length") == 1


def test_exc_info_replaces_what_is_not_out(peer):
    response = peer.get("/replaced")
    assert (response.status, response.body) == (503, b"replaced")
    assert response.get("X-First") is None
    assert response.get("X-Second") == "2"


def test_refused_call_can_be_made_again(peer):
    assert peer.get("/caught").body == b"recovered"


def test_early_hints(peer):
    peer.send(b"GET /hints HTTP/1.1\r\nHost: a\r\n\r\n")
    interim = peer.head()
    assert (interim.status, interim.get("Link")) == (103, "</style.css>; rel=preload")
    assert peer.response().body == b"one"
    response = request(peer, "GET", "/hints", "1.0")
    assert (response.status, response.body) == (200, b"one")


def test_errors_stream(server, peer):
    assert peer.get("/errors").body == b"one"
    eventually(lambda: "printed\n" in server.log())
    assert "wrote \xe9 \u20ac " in server.log()
    assert "line 1\nline 2\n" in server.log()


def test_objects_outlive_their_request(peer):
    for _ in range(3):
        assert peer.get("/keep").body == b"kept"
    said = peer.get("/use_kept").body.decode().split("\n")
    assert len(said) == 9
    assert all("RuntimeError" in line and "after the request ended" in line for line in said)
    assert peer.get("/list").body == b"one"


def content(start, stop):
    return bytes(i % 251 for i in range(start, stop))


@pytest.mark.parametrize("options", [[], ["--no-sendfile"]], ids=["sendfile", "no-sendfile"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/file", content(7, 300_000)),
        ("/file_sized", content(7, 12)),
        ("/file_memory", b"y" * 20_000),
        ("/file_pipe", b"through a pipe"),
        ("/file_gzip", b"plain text"),
        ("/file_closing", b"one"),
    ],
)
def test_files(serve_module, dial, path, body, options):
    server = serve_module("responses", *options)
    peer = dial(server)
    for _ in range(2):
        response = peer.get(path)
        assert (response.status, response.body) == (200, body)
    assert request(peer, "HEAD", path).body == b""
    assert request(peer, "GET", path, "1.0").body == body
    if path == "/file_closing":
        eventually(lambda: server.log().count("closed /file_closing") == 4)


def test_file_shorter_than_content_length(peer):
    peer.send(b"GET /file_short HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.head().get("Content-Length") == "100"
    assert peer.rest() == content(0, 50)
