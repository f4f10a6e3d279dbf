"""The end of connections and of servers, with TLS."""

from __future__ import annotations

import signal
import threading

import pytest
import websocket

from support import eventually


def test_idle_connections_end_properly_on_a_graceful_stop(secure, dial_tls):
    server = secure("hello", "--graceful-timeout", "30")
    used, unused = dial_tls(server), dial_tls(server)
    assert used.get().status == 200
    for peer in (used, unused):
        peer.socket.suppress_ragged_eofs = False
    server.signal(signal.SIGTERM)
    assert used.socket.recv(1) == b""
    assert unused.socket.recv(1) == b""
    assert server.wait() == 0


def test_a_stop_waits_for_what_is_open(secure, dial_tls):
    server = secure("sleepy")
    peer = dial_tls(server)
    peer.send(b"GET /2000 HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: server.connections() >= 1, within=30)
    server.signal(signal.SIGTERM)
    response = peer.response()
    assert response.status == 200
    peer.socket.suppress_ragged_eofs = False
    assert peer.socket.recv(1) == b""
    assert server.wait() == 0


def test_an_unfinished_handshake_does_not_hold_up_a_stop(secure, dial):
    server = secure("hello", "--graceful-timeout", "60", "--tls-handshake-timeout", "60")
    peer = dial(server)
    peer.send(b"\x16\x03\x01")
    eventually(lambda: server.connections() == 1, within=30)
    server.signal(signal.SIGTERM)
    assert peer.closed_by_server()
    assert server.wait() == 0


def test_an_idle_connection_ends_after_keepalive(secure, dial_tls):
    peer = dial_tls(secure("hello", "--keep-alive", "1"))
    assert peer.get().status == 200
    peer.socket.suppress_ragged_eofs = False
    assert peer.socket.recv(1) == b""


def test_descriptors_do_not_leak(secure, dial, dial_tls):
    server = secure("hello")
    for _ in range(50):
        dial_tls(server).socket.close()
        peer = dial(server)
        peer.send(b"\x16\x03\x01\x00")
        peer.reset()
    eventually(lambda: server.connections() == 0, within=60)
    assert dial_tls(server).get().status == 200


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "eventlet", "tornado"])
def test_a_websocket_is_carried(secure, authority, kind):
    pytest.importorskip("flask_sock")
    server = secure("flask_sock_site", "-k", kind)
    client = websocket.create_connection(
        f"wss://127.0.0.1:{server.port}/echo",
        timeout=60,
        sslopt={"ca_certs": str(authority.file), "server_hostname": "shop.example"},
    )
    for text in ("a", "b" * 200_000, "c"):
        client.send(text)
        assert client.recv() == text
    # Many at once: more than one turn reads, with records that are decrypted and have no event.
    burst = [f"{number:06}" * 500 for number in range(600)]
    sending = threading.Thread(target=lambda: [client.send(text) for text in burst[:300]])
    sending.start()
    sending.join()
    assert [client.recv() for _ in range(300)] == burst[:300]
    client.close()
