"""environ says what this request sent, whatever the ones before it sent under the same names."""

from __future__ import annotations

import ast
import json
import random
import threading

import pytest

NAMES = {
    "Accept": "HTTP_ACCEPT",
    "Cookie": "HTTP_COOKIE",
    "Authorization": "HTTP_AUTHORIZATION",
    "Referer": "HTTP_REFERER",
    "X-Own-Name": "HTTP_X_OWN_NAME",
}
VALUES = ["a", "b", "", "\u00e9" * 40, "c" * 600]


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("environs")


def ask(peer, fields):
    """One request with these fields; what environ said of all fields."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    peer.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode("latin-1"))
    response = peer.response()
    assert response.status == 200
    told = json.loads(response.body)
    return {
        name: ast.literal_eval(value) for name, value in told.items() if name.startswith("HTTP_")
    }


def expected(fields):
    return {"HTTP_HOST": "a"} | {NAMES[name]: value for name, value in fields}


def test_each_request_has_its_own_values(server, dial):
    """Long runs of one shape: values that stay, change, come back, alternate."""
    peer = dial(server)
    for turn in range(120):
        fields = [(name, VALUES[turn // step % 5]) for step, name in enumerate(NAMES, start=1)]
        assert ask(peer, fields) == expected(fields), turn


def test_a_name_that_is_gone_is_gone(server, dial):
    peer = dial(server)
    fields = [(name, "here") for name in NAMES]
    for _ in range(5):
        assert ask(peer, fields) == expected(fields)
    for left_out in range(len(fields)):
        fewer = fields[:left_out] + fields[left_out + 1 :]
        for _ in range(4):
            assert ask(peer, fewer) == expected(fewer)
    for _ in range(3):
        assert ask(peer, fields) == expected(fields)


def test_names_that_come_twice_are_joined_each_time(server, dial):
    peer = dial(server)
    for turn in range(6):
        told = ask(peer, [("Accept", "x"), ("Accept", str(turn))])
        assert told == {"HTTP_HOST": "a", "HTTP_ACCEPT": f"x,{turn}"}


def test_more_shapes_than_are_kept(server, dial):
    peer = dial(server)
    for turn in range(150):
        name = f"X-Shape-{turn % 50}"
        for _ in range(3):
            told = ask(peer, [(name, str(turn))])
            key = "HTTP_" + name.upper().replace("-", "_")
            assert told == {"HTTP_HOST": "a", key: str(turn)}


def test_clients_at_once_do_not_see_each_others_values(serve, dial):
    server = serve("environs", "--threads", "4")
    wrong = []

    def client(seed):
        chance = random.Random(seed)
        peer = dial(server)
        for _ in range(150):
            names = chance.sample(list(NAMES), chance.choice([2, 5]))
            fields = [(name, chance.choice(["1", "2", f"own-{seed}"])) for name in sorted(names)]
            told = ask(peer, fields)
            if told != expected(fields):
                wrong.append((fields, told))

    clients = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert wrong == []
