"""Handshakes that are slow, broken, or none at all."""

from __future__ import annotations

import contextlib
import json
import random
import re
import ssl
import struct
import time

import pytest

from support import eventually
from support.peer import Peer

NAME = "shop.example"


def hello(context):
    """The first bytes of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing, outgoing.read()


def lines(server, text):
    return [line for line in server.log().splitlines() if text in line]


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_handshake_in_small_segments(mirror, authority, piece):
    """Also RUSTSEC-2024-0399: a ClientHello that comes byte by byte."""
    client, incoming, outgoing, first = hello(authority.context())
    with mirror.connect() as sock:
        peer = Peer(sock)
        peer.send_in_pieces(first, piece)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))
        peer.send_in_pieces(outgoing.read(), piece)
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        peer.send_in_pieces(outgoing.read(), piece)
        incoming.write(peer.rest())
    assert client.read(12) == b"HTTP/1.1 200"


def test_a_hello_in_records_of_one_byte(mirror, authority):
    """Each byte of the handshake message in a record of its own (RFC 8446, section 5.1)."""
    client, incoming, _, first = hello(authority.context())
    message = first[5:]
    with mirror.connect() as sock:
        sock.sendall(b"".join(b"\x16\x03\x01\x00\x01%c" % byte for byte in message))
        incoming.write(sock.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
    assert client.cipher(), "the server has chosen"


def test_a_handshake_that_does_not_end_is_given_up(secure, dial, dial_tls, authority):
    server = secure("hello", "--tls-handshake-timeout", "1")
    *_, first = hello(authority.context())
    silent, begun, dripping = dial(server), dial(server), dial(server)
    begun.send(first[:50])
    dripping.send(first[:1])
    assert silent.closed_by_server()
    assert begun.closed_by_server()
    while dripping.is_idle(0.1):
        dripping.send(b"\x03")
    said = "not finished within 1 s (tls_handshake_timeout)"
    eventually(lambda: len(lines(server, said)) == 2, within=60)
    assert dial_tls(server).get().status == 200


def test_unfinished_handshakes_leave_room_for_others(secure, dial, dial_tls):
    server = secure("hello", "--tls-handshake-limit", "4", "--tls-handshake-timeout", "60")
    kept = dial_tls(server)
    silent = [dial(server) for _ in range(12)]
    assert dial_tls(server, timeout=60).get().status == 200
    assert kept.get().status == 200, "what is open is left alone"
    assert silent[0].closed_by_server(), "the oldest made room"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_plain_http_is_answered_in_kind(secure, dial, dial_tls, method):
    server = secure("hello")
    peer = dial(server)
    peer.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    response = peer.response(to=method.decode())
    assert (response.status, response.closes) == (400, True)
    assert peer.closed_by_server()
    eventually(lambda: '"-" 400' in server.access_log(), within=60)
    assert len(lines(server, "plain HTTP on a TLS port")) == 1
    assert dial_tls(server).get().status == 200


def test_tls_on_a_plain_port_is_refused_with_one_line(serve, dial, dial_tls):
    server = serve("hello")
    with pytest.raises(OSError, match=r"(?i)wrong version|record|reset|packet"):
        dial_tls(server)
    assert len(lines(server, "TLS on a port that does not speak it")) == 1
    assert dial(server).get().status == 200


def test_something_else_is_closed_with_one_line(secure, dial, dial_tls):
    server = secure("hello")
    for noise in (b"\x00" * 100, b"\x80\x2e\x01\x00\x02", b"\x15\x03\x01\x00\x02\x01\x00"):
        peer = dial(server)
        peer.send(noise)
        assert peer.closed_by_server()
    assert len(lines(server, "Invalid connection from ip=127.0.0.1: no TLS")) == 3
    assert dial_tls(server).get().status == 200


def test_close_notify_in_a_handshake_ends_it(mirror, dial, authority):
    """RUSTSEC-2024-0336: no endless loop."""
    *_, first = hello(authority.context())
    peer = dial(mirror)
    peer.send(first + b"\x15\x03\x03\x00\x02\x01\x00")
    peer.rest()
    peer = dial(mirror)
    peer.send(b"\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x02\x01\x00")
    peer.rest()
    ticks = cpu(mirror)
    time.sleep(0.5)
    assert cpu(mirror) - ticks < 20, "the worker does not spin"


def cpu(server):
    total = 0
    for pid in server.workers():
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def test_any_bytes_leave_the_worker_alive(secure, dial, dial_tls, authority):
    server = secure("hello", workers=2)
    workers = server.workers()
    dice = random.Random(7)
    for round_ in range(400):
        *_, first = hello(authority.context())
        data = bytearray(first)
        match round_ % 4:
            case 0:
                for _ in range(dice.randrange(1, 8)):
                    data[dice.randrange(len(data))] = dice.randrange(256)
            case 1:
                data = data[: dice.randrange(len(data))]
            case 2:
                kind, size = dice.choice([20, 21, 22, 23, 24]), dice.randrange(0, 300)
                data = struct.pack("!BHH", kind, 0x0303, dice.choice([size, 0, 0xFFFF]))
                data += dice.randbytes(size)
            case _:
                data = b"\x16\x03\x01" + dice.randbytes(dice.randrange(1, 400))
        with dial(server) as peer:
            peer.send(bytes(data))
            peer.half_close()
            peer.rest()
    assert dial_tls(server).get().status == 200
    assert server.workers() == workers
    assert not re.search("panicked|CRITICAL", server.log())


def test_any_bytes_after_the_handshake_end_one_connection(secure, authority, dial_tls):
    server = secure("hello")
    workers = server.workers()
    dice = random.Random(11)
    for _ in range(60):
        client, incoming, outgoing, first = hello(authority.context())
        with server.connect() as sock:
            sock.sendall(first)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(sock.recv(65536))
            client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            data = bytearray(outgoing.read())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            peer = Peer(sock)
            peer.send(bytes(data) + dice.randbytes(50))
            peer.half_close()
            peer.rest()
    assert dial_tls(server).get().status == 200
    assert server.workers() == workers
    assert not re.search("panicked|CRITICAL", server.log())


V1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12)
V2 += bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
def test_a_proxy_header_comes_before_tls(secure, authority, header, together):
    server = secure("environs", "--proxy-protocol", "auto", "--proxy-protocol-from", "127.0.0.1")
    client, incoming, outgoing, first = hello(authority.context())
    with server.connect() as sock:
        if together:
            sock.sendall(header + first)
        else:
            Peer(sock).send_in_pieces(header)
            sock.sendall(first)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        sock.sendall(outgoing.read())
        incoming.write(Peer(sock).rest())
    body = client.read(65536).partition(b"\r\n\r\n")[2]
    while True:
        try:
            if not (more := client.read(65536)):
                break
        except ssl.SSLError:
            break
        body += more
    environ = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    assert environ["REMOTE_ADDR"] == "'203.0.113.9'"
    assert (environ["HTTPS"], environ["SSL_TLS_SNI"]) == ("'on'", "'shop.example'")


def test_without_its_proxy_header_a_handshake_is_refused(secure, dial_tls):
    server = secure("environs", "--proxy-protocol", "auto", "--proxy-protocol-from", "127.0.0.1")
    with pytest.raises(OSError, match=r"(?i)eof|reset|closed"):
        dial_tls(server)
    assert len(lines(server, "Invalid connection from ip=127.0.0.1")) == 1
