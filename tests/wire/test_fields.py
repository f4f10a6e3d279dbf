"""What a client's fields become in environ, and what they can never set."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("mirror")


@pytest.fixture
def told(server, dial):
    """What the application sees of a GET with these field lines."""

    def ask(*fields: str) -> dict:
        response = dial(server).get("/", *fields)
        assert response.status == 200
        return json.loads(response.body)

    return ask


@pytest.mark.parametrize("order", [1, -1])
def test_names_with_underscore_never_shadow_the_others(told, order):
    fields = ["X-Auth: good", "X_Auth: evil"][::order]
    assert told(*fields)["fields"]["HTTP_X_AUTH"] == "good"


def test_fields_set_nothing_but_their_own_keys(told):
    plain = told()
    evil = told(
        "Remote-User: admin",
        "Remote-Addr: 192.0.2.1",
        "Script-Name: /elsewhere",
        "Path-Info: /elsewhere",
        "Request-Method: DELETE",
        "Server-Name: evil.example",
        "wsgi.url_scheme: https",
        "wsgi.input: x",
    )
    added = set(evil["names"]) - set(plain["names"])
    assert all(name.startswith("HTTP_") for name in added), added
    assert (evil["script"], evil["path"], evil["method"]) == ("", "/", "GET")
    assert (evil["peer"], evil["scheme"]) == (plain["peer"], "http")


def test_forwarding_fields_of_a_stranger_have_no_effect(serve, dial):
    server = serve("mirror", env={"FORWARDED_ALLOW_IPS": "192.0.2.7"})
    response = dial(server).get(
        "/",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Real-IP: 192.0.2.1",
        "Forwarded: for=192.0.2.1;proto=https",
    )
    told = json.loads(response.body)
    assert (told["peer"], told["scheme"]) == ("127.0.0.1", "http")


def test_repeated_fields_join_in_order(told):
    fields = told("X-A: 1", "Cookie: a=1", "X-A: 2", "Cookie: b=2", "x-a: 3")["fields"]
    assert fields["HTTP_X_A"].replace(" ", "") == "1,2,3"
    assert fields["HTTP_COOKIE"] == "a=1; b=2"


def test_repeating_a_field_costs_no_more_than_its_bytes(serve, dial):
    """Many long values of one name: joining them must not copy the earlier ones each time."""
    server = serve("mirror", "--limit-request-fields", "10000")
    values = [f"{number:05d}" for number in range(5000)]
    response = dial(server).get("/", *[f"X-A: {value}" for value in values])
    joined = json.loads(response.body)["fields"]["HTTP_X_A"]
    assert joined.replace(" ", "").split(",") == values
