"""WebSockets over WSGI: the application takes the connection over (`gunicorn.socket`)."""

from __future__ import annotations

import ast
import contextlib
import signal
import time

import pytest
import websocket

import oxicorn
from apps.conversations import app
from support import eventually
from support.websocket import FIELDS, frame, open_peer, opening

HOSTS = {
    "one thread": (),
    "threads": ("--threads", "3"),
    "gevent": ("-k", "gevent"),
    "eventlet": ("-k", "eventlet"),
    "tornado": ("-k", "tornado"),
    "tornado threads": ("-k", "tornado", "--threads", "3"),
}
# eventlet warns that it is at its end.
QUIET = {"PYTHONWARNINGS": "ignore"}


@pytest.fixture(params=HOSTS)
def host(request, serve):
    """Serves the application on threads and on each loop."""
    if HOSTS[request.param][:1] == ("-k",):
        pytest.importorskip(HOSTS[request.param][1])

    def start(*options, app="conversations", **given):
        return serve(app, *HOSTS[request.param], *options, env=QUIET, **given)

    return start


@pytest.fixture
def connect():
    """Opens WebSockets, and ends them with the test."""
    with contextlib.ExitStack() as stack:

        def open_one(port, path, **given):
            url = f"ws://127.0.0.1:{port}{path}"
            client = websocket.create_connection(url, timeout=60, **given)
            stack.callback(client.shutdown)
            return client

        yield open_one


def counts(dial, server):
    with dial(server) as peer:
        return ast.literal_eval(peer.get("/counts", "Connection: close").body.decode())


def test_messages_of_every_size_come_back(host, connect):
    server = host()
    client = connect(server.port, "/echo")
    for size in (0, 1, 125, 126, 65536, 5_000_000):
        client.send("x" * size)
        assert client.recv() == "x" * size
        client.send_binary(b"\xff" * size)
        assert client.recv() == b"\xff" * size
    client.close()
    assert server.stop() == 0
    assert '"GET /echo HTTP/1.1" 101 ' in server.access_log()
    assert "Traceback" not in server.log()


def test_a_message_in_fragments(host, dial):
    with dial(host()) as peer:
        open_peer(peer, "/echo")
        peer.send_in_pieces(frame(1, b"frag", final=False) + frame(0, b"ments"), 3)
        assert peer.read(11) == b"\x81\x09fragments"


def test_bytes_behind_the_opening_are_the_first_that_the_application_gets(host, dial):
    with dial(host()) as peer:
        peer.send(opening("/echo") + frame(1, b"early"))
        assert peer.head().status == 101
        assert peer.read(7) == b"\x81\x05early"
        peer.send(frame(1, b"late"))
        assert peer.read(6) == b"\x81\x04late"


def test_they_do_not_use_up_the_threads_for_requests(host, dial, connect):
    server = host()
    clients = [connect(server.port, "/echo") for _ in range(40)]
    for client in clients:
        client.send("hello")
    eventually(lambda: counts(dial, server)["open"] == 40)
    for client in clients:
        assert client.recv() == "hello"
    for client in clients:
        client.close()
    eventually(lambda: counts(dial, server)["open"] == 0)


def test_above_the_limit_they_are_refused(host, dial, connect):
    server = host("--websocket-limit", "2")
    first, second = connect(server.port, "/echo"), connect(server.port, "/echo")
    with dial(server) as peer:
        peer.send(opening("/echo"))
        response = peer.response()
        assert (response.status, response.get("Retry-After")) == (503, "1")
    assert server.log().count("a WebSocket was refused, as 2 are open (websocket_limit)") == 1
    first.close()

    def third():
        with dial(server) as peer:
            peer.send(opening("/echo"))
            return peer.head().status == 101

    eventually(third)
    second.send("still")
    assert second.recv() == "still"


def test_without_a_limit_above_zero_there_is_no_socket(host, dial):
    with dial(host("--websocket-limit", "0")) as peer:
        body = peer.get("/has_socket", *FIELDS).body
        assert ast.literal_eval(body.decode())[0] == [False, False, False]


def test_only_requests_for_a_websocket_have_a_socket(host, dial):
    with dial(host()) as peer:
        for fields in (
            (),
            ("Upgrade: websocket",),
            ("Connection: Upgrade",),
            ("Connection: Upgrade", "Upgrade: h2c"),
            ("Connection: close-not, Upgrade", "Upgrade: websockets"),
        ):
            assert peer.get("/has_socket", *fields).body.startswith(b"([False, False, False]")
        peer.send(opening("/has_socket").replace(b"GET", b"POST", 1))
        assert peer.response().body.startswith(b"([False, False, False]")
        peer.send(opening("/has_socket", *FIELDS, "Content-Length: 3") + b"abc")
        assert peer.response().body.startswith(b"([False, False, False]")
        # A server for one protocol among others, and a list of them.
        body = peer.get("/has_socket", "Connection: Upgrade", "Upgrade: h2c, WebSocket").body
        assert body.startswith(b"([True, False, False]")
        peer.send(opening("/has_socket").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert peer.response().body.startswith(b"([False, False, False]")


def test_an_answer_as_usual_leaves_the_connection_as_it_was(host, dial):
    server = host()
    with dial(server) as peer:
        for _ in range(3):
            peer.send(opening("/refuse") + opening("/refuse"))
            assert peer.response().body == b"not today"
            response = peer.response()
            assert (response.status, response.body) == (400, b"not today")
            assert peer.get("/counts").status == 200
    assert server.stop() == 0
    assert server.access_log().count('"GET /refuse HTTP/1.1" 400') == 6


@pytest.mark.parametrize("path", ["/stop", "/stop_later", "/answer_too", "/fail"])
def test_nothing_is_written_after_the_application_has_ended(host, dial, path):
    server = host()
    with dial(server) as peer:
        open_peer(peer, path)
        assert peer.rest() == b"and that is all"
    assert counts(dial, server)["calls"] == 0
    assert server.stop() == 0
    assert f'"GET {path} HTTP/1.1" 101 ' in server.access_log()
    # An error that is no usual end is the application's, and said.
    assert server.log().count("Traceback") == (path == "/fail")


def test_an_end_on_the_clients_side_leaves_the_other_open(host, dial):
    with dial(host()) as peer:
        open_peer(peer, "/bytes")
        peer.send(b"some bytes")
        peer.half_close()
        assert peer.rest() == b"some bytesthe end"


def test_a_client_that_vanishes_ends_the_call(host, dial):
    server = host()
    for end in ("close", "reset"):
        peers = [open_peer(dial(server), "/bytes") for _ in range(5)]
        eventually(lambda: counts(dial, server)["open"] == 5)
        for peer in peers:
            peer.reset() if end == "reset" else peer.socket.close()
        eventually(lambda: counts(dial, server)["open"] == 0)
    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_they_have_no_idle_limit(host, dial, connect):
    server = host("--keep-alive", "1", "--client-head-timeout", "1", "--client-send-timeout", "1")
    client = connect(server.port, "/echo")
    with dial(server) as idle:
        # Three times as long as a connection between two requests may be idle.
        assert idle.get("/counts").status == 200
        assert idle.closed_by_server()
    for _ in range(2):
        with dial(server) as idle:
            assert idle.get("/counts").status == 200
            assert idle.closed_by_server()
    client.send("still here")
    assert client.recv() == "still here"


def test_term_ends_them_from_the_clients_side(host, dial, connect):
    server = host("--graceful-timeout", "50")
    with dial(server) as peer:
        open_peer(peer, "/bytes")
        client = connect(server.port, "/echo")
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        # The application finds the end of the client's bytes, and has the last word.
        assert peer.rest() == b"the end"
        with pytest.raises(websocket.WebSocketConnectionClosedException):
            client.recv()
        assert server.wait() == 0
        assert time.monotonic() - begin < 45


def test_quit_cuts_them(host, dial):
    server = host()
    with dial(server) as peer:
        open_peer(peer, "/deaf")
        server.signal(signal.SIGQUIT)
        assert peer.closed_by_server()
    assert server.wait() == 0


def test_a_client_that_reads_slowly_holds_up_its_own_writer_only(host, dial):
    server = host()
    size = 64 << 20
    with dial(server) as peer:
        open_peer(peer, f"/flood?{size}")

        def stands_still():
            before = counts(dial, server)["sent"]
            time.sleep(0.3)
            return before and counts(dial, server)["sent"] == before

        eventually(stands_still)
        assert counts(dial, server)["sent"] < size
        assert len(peer.rest()) == size


def test_a_client_that_takes_nothing_is_given_up(host, dial):
    server = host("--client-send-timeout", "1")
    with dial(server) as peer:
        open_peer(peer, f"/flood?{64 << 20}")
        eventually(lambda: '"GET /flood?67108864 HTTP/1.1" 101' in server.access_log())
    assert "Traceback" not in server.log()


def test_an_application_that_reads_slowly_holds_up_its_client_only(host, dial):
    server = host()
    with dial(server) as peer:
        open_peer(peer, "/deaf")
        peer.socket.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                sent += peer.socket.send(b"x" * 65536)
                assert sent < 256 << 20
        peer.socket.settimeout(60)
        with dial(server) as other:
            assert other.get("/go_on").body == b"gone on"
        peer.half_close()
        assert peer.rest() == str(sent).encode()


def test_no_descriptors_are_left_behind(host, dial):
    server = host()

    def descriptors():
        with dial(server) as peer:
            return int(peer.get("/descriptors", "Connection: close").body)

    def round_of():
        for path in ("/stop", "/fail", "/echo", "/refuse"):
            with dial(server) as peer:
                peer.send(opening(path))
                peer.head()
        return descriptors()

    first = max(round_of() for _ in range(3))
    for _ in range(20):
        round_of()
    eventually(lambda: descriptors() <= first)


@pytest.mark.parametrize("options", [(), ("-k", "tornado")], ids=["threads", "tornado"])
def test_with_one_thread_an_ordinary_answer_is_still_the_only_call(serve, dial, options):
    """An application that is not thread-safe never takes a connection over."""
    if options:
        pytest.importorskip("tornado")
    server = serve("conversations", *options)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server)) for _ in range(4)]
        for index, peer in enumerate(peers):
            peer.send(opening("/slow") if index % 2 else b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        for peer in peers:
            assert peer.response().body == b"slow"
    assert counts(dial, server)["most_calls"] == 1


def test_they_are_not_busy_threads_to_the_other_workers(serve, dial, connect):
    """A worker with a WebSocket still takes its part of the requests."""
    server = serve("conversations", workers=2)
    clients = [connect(server.port, "/echo") for _ in range(8)]
    for _ in range(20):
        with dial(server) as peer:
            assert peer.get("/counts").status == 200
    for client in clients:
        client.send("hello")
        assert client.recv() == "hello"


def test_over_a_unix_socket(serve, tmp_path):
    server = serve("conversations", bind=f"unix:{tmp_path}/socket")
    with contextlib.closing(server.connect()) as sock:
        client = websocket.create_connection("ws://any/echo", socket=sock, timeout=60)
        client.send("hello")
        assert client.recv() == "hello"
        client.close()
    assert server.stop() == 0


def test_a_server_in_a_program_stops_with_open_ones(connect):
    with oxicorn.Server(app, threads=2) as server:
        client = connect(server.port, "/echo")
        client.send("hello")
        assert client.recv() == "hello"
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        client.recv()
