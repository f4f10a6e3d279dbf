"""A request and its response on a stream: the same WSGI as over HTTP/1."""

from __future__ import annotations

import json

import pytest

from support import eventually
from support.http2 import (
    CANCEL,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    Http2Peer,
    fields,
)


def told(peer: Http2Peer, stream: int) -> dict:
    response = peer.response(stream)
    assert response.status == 200, response
    return json.loads(response.body)


def test_environ_says_what_was_asked(serve2, dial2, kind):
    peer = dial2(serve2("mirror", *kind))
    asked = fields("/a%20b//c?x=%20y", more=[("x-one", "1"), ("x-one", "2"), ("x-two", "\xe9")])
    environ = told(peer, peer.headers(asked))
    assert environ["method"] == "GET"
    assert environ["path"] == "/a b//c"
    assert environ["query"] == "x=%20y"
    assert environ["protocol"] == "HTTP/2.0"
    assert environ["scheme"] == "http"
    assert environ["peer"] == "127.0.0.1"
    assert environ["length"] is None
    assert environ["body"] == ""
    assert environ["fields"]["HTTP_HOST"] == "a.example"
    assert environ["fields"]["HTTP_X_ONE"] == "1,2"
    assert environ["fields"]["HTTP_X_TWO"] == "\xc3\xa9"
    assert not [name for name in environ["names"] if ":" in name or "AUTHORITY" in name]


def test_cookie_crumbs_are_one_field(serve2, dial2):
    peer = dial2(serve2("mirror"))
    crumbs = [("cookie", "a=1"), ("x-between", "1"), ("cookie", "b=2"), ("cookie", "c=3")]
    environ = told(peer, peer.headers(fields(more=crumbs)))
    assert environ["fields"]["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_host_is_the_authority(serve2, dial2):
    peer = dial2(serve2("mirror"))
    environ = told(peer, peer.headers(fields(more=[("host", "A.example")])))
    assert environ["fields"]["HTTP_HOST"] == "a.example"
    environ = told(peer, peer.headers(fields(authority=None, more=[("host", "only.example")])))
    assert environ["fields"]["HTTP_HOST"] == "only.example"


@pytest.mark.parametrize("size", [1, 70_000, 1_500_000])
@pytest.mark.parametrize("announced", [True, False])
def test_bodies_are_whole(serve2, dial2, kind, size, announced):
    peer = dial2(serve2("mirror", *kind))
    body = bytes(i % 251 for i in range(size))
    more = [("content-length", str(size))] if announced else []
    stream = upload(peer, fields("/", "POST", more=more), body)
    environ = told(peer, stream)
    assert environ["body"].encode("latin-1") == body
    assert environ["length"] == str(size)


def upload(peer: Http2Peer, pairs, body: bytes) -> int:
    """Sends a body as the windows permit."""
    windows = Windows(peer)
    stream = peer.headers(pairs, end=False)
    windows.stream = stream
    at = 0
    while at < len(body):
        peer.until(lambda: windows.room() > 0)
        piece = body[at : at + min(windows.room(), 16384)]
        at += len(piece)
        windows.used += len(piece)
        peer.data(stream, piece, end=at == len(body))
    return stream


class Windows:
    """Adds up what the server lets be sent."""

    def __init__(self, peer: Http2Peer) -> None:
        self.used, self.stream = 0, 0
        self.more = {0: 65535}
        self.peer = peer
        take = peer._take

        def taken(frame):
            if type(frame).__name__ == "WindowUpdateFrame":
                number = frame.stream_id
                self.more[number] = self.more.get(number, 0) + frame.window_increment
            take(frame)

        peer._take = taken

    def room(self) -> int:
        first = self.peer.settings.get(4, 65535)
        own = first + self.more.get(self.stream, 0)
        return min(own, self.more[0]) - self.used


def test_streams_run_at_the_same_time(serve2, dial2):
    peer = dial2(serve2("sleepy", "--threads", "4"))
    slow, fast = peer.get("/5000"), peer.get("/fast")
    assert peer.response(fast).body == b"/fast"
    assert not peer.stream(slow).is_over
    assert peer.response(slow).body == b"/5000"


def test_many_streams_of_one_connection_are_all_answered(serve2, dial2, kind):
    peer = dial2(serve2("sized", *kind))
    for _ in range(3):
        sizes = {peer.get(f"/{size}"): size for size in range(0, 60_000, 1000)}
        for stream, size in sizes.items():
            response = peer.response(stream)
            assert (response.status, len(response.body), response.reset) == (200, size, None)


@pytest.mark.parametrize("path", ["/3000000", "/3000000/1000", "/3000000/100000"])
def test_large_responses_follow_the_windows(serve2, dial2, kind, path):
    peer = dial2(serve2("sized", *kind))
    response = peer.response(peer.get(path))
    assert response.body == b"x" * 3_000_000
    assert response.fields["content-length"] == "3000000"


def test_a_file_is_sent(serve2, dial2):
    peer = dial2(serve2("responses"))
    response = peer.response(peer.get("/file"))
    assert response.status == 200
    assert response.body
    assert int(response.fields.get("content-length", len(response.body))) == len(response.body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/list", b"one"),
        ("/pair", b"onetwo"),
        ("/empty", b""),
        ("/generator", b"onetwo"),
        ("/write", b"one,two,three"),
        ("/big", b"x" * 3_000_000),
        ("/bigs", b"x" * 5_000_000),
        ("/replaced", b"replaced"),
        ("/close", b"one"),
        ("/hop_by_hop", b"one"),
        ("/long", b"onet"),
    ],
)
def test_responses_have_their_body_and_end(serve2, dial2, path, body):
    peer = dial2(serve2("responses"))
    response = peer.response(peer.get(path))
    assert response.body == body
    assert (response.is_over, response.reset) == (True, None)
    assert {"connection", "transfer-encoding", "keep-alive"}.isdisjoint(response.fields)
    assert peer.response(peer.get("/list")).body == b"one", "the connection goes on"


def test_fields_are_lower_case_in_order_and_not_joined(serve2, dial2):
    peer = dial2(serve2("responses"))
    pairs = peer.response(peer.get("/fields")).pairs
    assert next(pair for pair in pairs if pair[0] == "set-cookie") == ("set-cookie", "a=1")
    assert len([pair for pair in pairs if pair[0] == "set-cookie"]) == 2
    assert ("x-mixed", "kept") in pairs
    names = [name for name, _ in pairs]
    assert names[0] == ":status"
    assert names == [name.lower() for name in names]
    assert names.count("date") == names.count("server") == 1


@pytest.mark.parametrize(("path", "status"), [("/204", 204), ("/304", 304)])
def test_a_response_without_body_ends_with_its_head(serve2, dial2, path, status):
    peer = dial2(serve2("responses"))
    response = peer.response(peer.get(path))
    assert (response.status, response.body, response.reset) == (status, b"", None)
    assert "transfer-encoding" not in response.fields
    assert ("content-length" in response.fields) <= (status == 304)


def test_head_has_no_body(serve2, dial2):
    peer = dial2(serve2("sized"))
    response = peer.response(peer.get("/1000", method="HEAD"))
    assert (response.status, response.body) == (200, b"")
    assert response.fields["content-length"] == "1000"
    # Its end comes with the head, or by itself if the head was quicker.
    assert response.frames in (["Headers"], ["Headers", "Data"])
    refused = peer.response(peer.headers(fields("/", "HEAD", more=[("host", "other")])))
    assert (refused.status, refused.body) == (400, b"")


def test_early_hints_come_first(serve2, dial2, kind):
    peer = dial2(serve2("responses", *kind))
    response = peer.response(peer.get("/hints"))
    assert [head[":status"] for head in response.interim] == ["103"]
    assert response.interim[0]["link"] == "</style.css>; rel=preload"
    assert (response.status, response.body) == (200, b"one")


@pytest.mark.parametrize("path", ["/raise", "/exit", "/none", "/text", "/silent"])
def test_a_failure_before_the_head_is_a_whole_500(serve2, dial2, path):
    server = serve2("responses")
    peer = dial2(server)
    response = peer.response(peer.get(path))
    assert (response.status, response.is_over, response.reset) == (500, True, None)
    assert peer.response(peer.get("/list")).body == b"one"


@pytest.mark.parametrize("path", ["/raise_later", "/raise_later_sized", "/short", "/bad_close"])
def test_a_failure_inside_the_body_is_seen_as_a_reset(serve2, dial2, kind, path):
    peer = dial2(serve2("responses", *kind))
    response = peer.response(peer.get(path))
    assert (response.status, response.is_over) == (200, False)
    assert response.reset == INTERNAL_ERROR
    assert peer.response(peer.get("/list")).body == b"one"


def test_items_go_out_at_once(serve2, dial2, tmp_path):
    peer = dial2(serve2("responses"))
    stream = peer.get("/endless")
    peer.until(lambda: len(peer.stream(stream).body) > 100)
    peer.reset(stream)


def test_a_client_that_resets_ends_the_iteration(serve2, dial2, kind):
    server = serve2("responses", *kind)
    peer = dial2(server)
    stream = peer.get("/endless")
    peer.until(lambda: peer.stream(stream).body)
    peer.reset(stream)
    eventually(lambda: "closed /endless" in server.log())
    assert peer.response(peer.get("/list")).body == b"one"


def test_a_client_that_leaves_ends_the_iteration(serve2, dial2, kind):
    server = serve2("responses", *kind)
    peer = dial2(server)
    stream = peer.get("/endless")
    peer.until(lambda: peer.stream(stream).body)
    peer.socket.close()
    eventually(lambda: "closed /endless" in server.log())


def test_an_application_can_ask_whether_its_client_is_there(serve2, dial2, tmp_path, kind):
    peer = dial2(serve2("watchful", *kind, env={"WATCHFUL": str(tmp_path)}))
    stream = peer.get("/until/one")
    eventually((tmp_path / "one").exists)
    assert not (tmp_path / "one.gone").exists()
    peer.reset(stream)
    eventually((tmp_path / "one.gone").exists)


def test_content_length_must_be_what_comes(serve2, dial2):
    server = serve2("mirror")
    peer = dial2(server)
    for body in (b"abc", b"abcdef"):
        stream = peer.post("/never", body, ("content-length", "5"))
        assert peer.response(stream).reset == PROTOCOL_ERROR
    stream = peer.headers(fields("/never", "POST", more=[("content-length", "5")]))
    assert peer.response(stream).reset == PROTOCOL_ERROR
    assert told(peer, peer.post("/", b"abc", ("content-length", "3")))["body"] == "abc"
    assert "/never" not in server.access_log()


def test_trailers_are_left_out(serve2, dial2):
    peer = dial2(serve2("mirror"))
    stream = peer.headers(fields("/", "POST"), end=False)
    peer.data(stream, b"abc")
    peer.headers([("x-trailer", "1")], stream=stream)
    environ = told(peer, stream)
    assert environ["body"] == "abc"
    assert "HTTP_X_TRAILER" not in environ["fields"]


def test_an_expected_100_comes_before_the_body(serve2, dial2):
    peer = dial2(serve2("mirror"))
    asked = fields("/", "POST", more=[("expect", "100-continue"), ("content-length", "3")])
    stream = peer.headers(asked, end=False)
    peer.until(lambda: peer.stream(stream).interim)
    assert peer.stream(stream).interim[0][":status"] == "100"
    peer.data(stream, b"abc", end=True)
    assert told(peer, stream)["body"] == "abc"


def test_too_large_bodies_are_refused(serve2, dial2):
    server = serve2("mirror", "--limit-request-body", "1000")
    peer = dial2(server)
    announced = peer.headers(fields("/", "POST", more=[("content-length", "1001")]), end=False)
    assert peer.response(announced).status == 413
    sent = peer.headers(fields("/", "POST"), end=False)
    peer.data(sent, b"x" * 1001)
    assert peer.response(sent).status == 413
    peer.until(lambda: peer.stream(sent).reset is not None)
    assert peer.stream(sent).reset == NO_ERROR
    assert told(peer, peer.post("/", b"x" * 1000))["length"] == "1000"
    eventually(lambda: server.access_log().count(" 413 ") == 2)


def test_limits_of_fields_are_those_of_http1(serve2, dial2):
    server = serve2("mirror", "--limit-request-fields", "10", "--limit-request-line", "100")
    peer = dial2(server)
    assert peer.response(peer.get("/" + "x" * 100)).status == 414
    many = [(f"x-{number}", "1") for number in range(20)]
    assert peer.response(peer.headers(fields(more=many))).status == 431
    assert peer.response(peer.get("/")).status == 200


def test_underscores_are_dropped_as_in_http1(serve2, dial2):
    peer = dial2(serve2("mirror"))
    environ = told(peer, peer.headers(fields(more=[("x_forwarded_for", "1"), ("x-fine", "1")])))
    assert "HTTP_X_FORWARDED_FOR" not in environ["fields"]
    assert environ["fields"]["HTTP_X_FINE"] == "1"


def test_the_access_log_says_what_was_spoken(serve2, dial2):
    server = serve2(
        "sized", "--access-logformat", "%(m)s %(U)s %(H)s %(s)s %(B)s <%(r)s> %({x-a}i)s"
    )
    peer = dial2(server)
    peer.response(peer.get("/1000", ("x-a", "seen")))
    eventually(
        lambda: "GET /1000 HTTP/2.0 200 1000 <GET /1000 HTTP/2.0> seen" in server.access_log()
    )


def test_a_trusted_proxy_speaks_for_its_client(serve2, dial2):
    peer = dial2(serve2("mirror"))
    environ = told(peer, peer.get("/", ("x-forwarded-proto", "https")))
    assert environ["scheme"] == "https"


def test_health_checks_are_answered_by_the_server(serve2, dial2):
    peer = dial2(serve2("sleepy", "--health-path", "/healthy"))
    slow = peer.get("/4000")
    assert peer.response(peer.get("/healthy")).body == b"ok\n"
    assert not peer.stream(slow).is_over
    peer.response(slow)


def test_requests_that_wait_too_long_get_503(serve2, dial2):
    server = serve2("sleepy", "--queue-timeout", "0.5")
    peer = dial2(server)
    slow, waits = peer.get("/3000"), peer.get("/waits")
    assert peer.response(waits).status == 503
    assert peer.response(slow).status == 200
    eventually(lambda: " 503 " in server.access_log())


def test_a_request_over_its_time_limit_gets_504_and_the_connection_goes_on(serve2, dial2):
    options = ("--request-timeout", "1", "--threads", "2")
    peer = dial2(serve2("sleepy", *options, exit_status=None))
    slow, fast = peer.get("/20000"), peer.get("/fast")
    assert peer.response(fast).body == b"/fast"
    assert peer.response(slow).status in (500, 504)
    assert peer.response(peer.get("/again")).body == b"/again"


def test_streaming_bodies_are_read_as_they_come(serve2, dial2, kind):
    server = serve2("mirror", "--request-buffering", "off", *kind)
    peer = dial2(server)
    body = bytes(i % 251 for i in range(400_000))
    stream = upload(peer, fields("/", "POST"), body)
    assert told(peer, stream)["body"].encode("latin-1") == body
    cut = peer.headers(fields("/", "POST"), end=False)
    peer.data(cut, b"x" * 1000)
    peer.reset(cut, CANCEL)
    assert told(peer, peer.get("/"))["body"] == ""


def test_without_the_setting_or_trust_the_preface_is_refused(serve, serve2, dial2):
    for server in (serve("hello"), serve2("hello", "--forwarded-allow-ips", "192.0.2.1")):
        peer = dial2(server)
        rest = b""
        while more := peer.socket.recv(1000):
            rest += more
        assert rest.startswith(b"HTTP/1.1 505 ") or rest.startswith(b"HTTP/1.1 400 ")


def test_http1_goes_on_beside_it(serve2, dial):
    server = serve2("mirror")
    peer = dial(server)
    assert peer.get().status == 200
    assert peer.get().status == 200


def test_a_preface_in_pieces_is_understood(serve2, dial2):
    from support.http2 import PREFACE

    peer = dial2(serve2("hello"), begin=False)
    for octet in PREFACE:
        peer.send(bytes([octet]))
    peer.raw_frame(4, 0, 0)
    assert peer.response(peer.get()).body == b"hello\n"
