"""What the internet sends: other protocols, noise, clients that vanish. The service goes on."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from support import cases, eventually

TLS_HELLO = bytes.fromhex("16030100f1010000ed0303") + bytes(range(230))
OTHER_PROTOCOLS = {
    "tls": TLS_HELLO,
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "proxy-line": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "proxy-v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "smtp": b"EHLO a.example\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "nul": b"\0" * 1000,
}


@pytest.fixture
def server(serve):
    return serve("mirror", workers=2)


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
def test_other_protocols_are_turned_away(server, dial, name):
    peer = dial(server)
    peer.send(OTHER_PROTOCOLS[name])
    rest = peer.rest()
    assert rest == b"" or rest.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 505 "))
    assert rest.count(b"HTTP/1.1 ") <= 1
    assert dial(server).get().status == 200
    assert server.log().count("\n") < 20


def test_noise_ends_in_an_answer_or_a_close(server, dial):
    """Mutations of the corpus, and plain noise: no 500, no hang, no lost worker."""
    workers = server.workers()
    dice = random.Random(20)
    seeds = [case.data for case in cases("accept") + cases("reject")]
    assert seeds
    for _ in range(600):
        data = mutate(dice, dice.choice(seeds)) if dice.random() < 0.8 else dice.randbytes(300)
        with dial(server) as peer:
            peer.send(data)
            peer.half_close()
            rest = peer.rest()
            assert rest == b"" or rest.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), data
            assert not re.search(rb"HTTP/1.[01] 500 ", rest), data
    assert dial(server).get().status == 200
    assert server.workers() == workers


def mutate(dice: random.Random, data: bytes) -> bytes:
    """A few bytes changed, dropped, doubled, or swapped with what often matters."""
    noise = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"0", b"\xff", b",", b";", b"chunked"]
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(out) + 1)
        kind = dice.randrange(4)
        if kind == 0:
            out[at : at + 1] = dice.randbytes(1)
        elif kind == 1:
            del out[at : at + dice.randint(1, 5)]
        elif kind == 2:
            out[at:at] = out[at : at + dice.randint(1, 20)]
        else:
            out[at:at] = dice.choice(noise)
    return bytes(out)


def test_clients_that_reset_at_any_point_leave_nothing_behind(serve, dial):
    server = serve("mirror", workers=2)
    request = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000
    for _ in range(10):
        with dial(server) as peer:
            assert peer.get().status == 200
    workers = server.workers()
    eventually(lambda: not server.connections())
    before = descriptors(workers)
    dice = random.Random(31)
    for _ in range(600):
        peer = dial(server)
        peer.send(request[: dice.choice([0, 1, 20, 60, 61, 1000, 69999, len(request)])])
        if dice.random() < 0.3:
            peer.half_close()
        peer.reset()
    assert dial(server).get("/after").status == 200
    assert server.workers() == workers
    # The connection of /after, and what a worker opens once, one of which may not have booted
    # before; a leak would be hundreds.
    eventually(lambda: descriptors(workers) <= before + 40)


def descriptors(pids: list[int]) -> int:
    """Open descriptors of these processes."""
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
