"""environ as PEP 3333 wants it, and nothing in it that a client could not have said."""

from __future__ import annotations

import ast
import json

import pytest


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("environs")


@pytest.fixture
def ask(server, dial):
    """Sends a request head (and a body) and gives environ as strings of Python."""

    def send(head: str, body: bytes = b"") -> dict[str, str]:
        peer = dial(server)
        peer.send(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        response = peer.response()
        assert response.status == 200
        return json.loads(response.body)

    return send


def value(told, name):
    return ast.literal_eval(told[name])


def test_keys_that_are_always_there(server, ask, under):
    told = ask("GET / HTTP/1.1\nHost: elsewhere:99")
    assert told["type"] == "dict"
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "RAW_URI": "/",
        "REQUEST_URI": "/",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "elsewhere:99",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": under.is_foreign,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: value(told, name) for name in expected} == expected
    assert value(told, "SERVER_SOFTWARE").startswith("oxicorn/")
    assert value(told, "REMOTE_PORT").isdigit()
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints"} <= told.keys()
    assert "oxicorn.client_disconnected" in told


def test_nothing_that_was_not_sent(ask, monkeypatch):
    told = ask("GET / HTTP/1.1\nHost: a")
    assert "CONTENT_TYPE" not in told
    assert "CONTENT_LENGTH" not in told
    assert not {"PATH", "HOME", "PYTHONPATH"} & told.keys()
    assert [name for name in told if name.startswith("HTTP_")] == ["HTTP_HOST"]


def test_changes_stay_in_their_request(ask):
    first = ask("GET / HTTP/1.1\nHost: a")
    second = ask("GET / HTTP/1.1\nHost: a")
    assert "MINE" not in second
    assert {**first, "REMOTE_PORT": ""}.keys() == second.keys()
    assert value(second, "wsgi.version") == (1, 0)
    assert value(second, "SERVER_NAME") == "127.0.0.1"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b", "/a/b", ""),
        ("/a%2Fb%20c", "/a/b c", ""),
        ("/%e2%82%ac", "/\xe2\x82\xac", ""),
        ("//a;b/+/../c", "//a;b/+/../c", ""),
        ("/%00x", "/\0x", ""),
        ("/%zz%4", "/%zz%4", ""),
        ("/%2525", "/%25", ""),
        ("/?", "/", ""),
        ("/p?a=%20b?c", "/p", "a=%20b?c"),
    ],
)
def test_target(ask, target, path, query):
    told = ask(f"GET {target} HTTP/1.1\nHost: a")
    assert value(told, "PATH_INFO") == path
    assert value(told, "QUERY_STRING") == query
    assert value(told, "RAW_URI") == value(told, "REQUEST_URI") == target


def test_authority_of_the_target_replaces_host(ask):
    told = ask("GET http://real:8000/x?y HTTP/1.1\nHost: other")
    assert value(told, "HTTP_HOST") == "real:8000"
    assert (value(told, "PATH_INFO"), value(told, "QUERY_STRING")) == ("/x", "y")
    assert value(told, "RAW_URI") == "http://real:8000/x?y"


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "PURGE", "get"])
def test_method_and_protocol(ask, method):
    told = ask(f"{method} / HTTP/1.0\nContent-Length: 0")
    assert value(told, "REQUEST_METHOD") == method
    assert value(told, "SERVER_PROTOCOL") == "HTTP/1.0"
    assert "HTTP_HOST" not in told


def test_repeated_fields(ask):
    told = ask("GET / HTTP/1.1\nHost: a\nCookie: a=1\nX-Many: 1\ncookie: b=2\nx-many: 2\nX-MANY: 3")
    assert value(told, "HTTP_COOKIE") == "a=1; b=2"
    assert value(told, "HTTP_X_MANY") == "1,2,3"


def test_values_change_from_request_to_request(ask):
    for value_sent in ["one", "two", "", "one", "\xe9\xff", "x" * 600, "x" * 600, "y" * 600]:
        told = ask(f"GET / HTTP/1.1\nHost: a\nX-Value: {value_sent}\nAuthorization: {value_sent}")
        assert value(told, "HTTP_X_VALUE") == value_sent
        assert value(told, "HTTP_AUTHORIZATION") == value_sent
    assert "HTTP_X_VALUE" not in ask("GET / HTTP/1.1\nHost: a")


def test_more_names_than_are_remembered(ask):
    for batch in range(8):
        names = [f"X-Name-{batch}-{number}" for number in range(60)]
        lines = [f"{name}: {name.lower()}" for name in [*names, "X-" + "Long" * 50]]
        for _ in range(2):
            told = ask("\n".join(["GET / HTTP/1.1", "Host: a", *lines, *lines[:3], lines[-1]]))
            for name in names[3:]:
                key = "HTTP_" + name.upper().replace("-", "_")
                assert value(told, key) == name.lower()
            for name in names[:3]:
                key = "HTTP_" + name.upper().replace("-", "_")
                assert value(told, key) == f"{name.lower()},{name.lower()}"


@pytest.mark.parametrize("name", ["Content_Length", "Content_Type", "wsgi.input", "REMOTE_ADDR"])
def test_no_field_becomes_another_variable(ask, name):
    told = ask(f"GET / HTTP/1.1\nHost: a\n{name}: 7")
    assert "CONTENT_LENGTH" not in told
    assert "CONTENT_TYPE" not in told
    assert value(told, "REMOTE_ADDR") == "127.0.0.1"
    assert "object" in told["wsgi.input"]


def test_body_of_known_length(ask):
    told = ask("POST / HTTP/1.1\nHost: a\nContent-Type: a/b\nContent-Length: 3", b"abc")
    assert value(told, "CONTENT_LENGTH") == "3"
    assert value(told, "CONTENT_TYPE") == "a/b"
    assert not {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"} & told.keys()


def test_empty_content_type_is_there(ask):
    assert value(ask("GET / HTTP/1.1\nHost: a\nContent-Type:"), "CONTENT_TYPE") == ""


def test_buffered_chunked_body_has_its_length(ask):
    told = ask("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")
    assert value(told, "CONTENT_LENGTH") == "3"
    assert "HTTP_TRANSFER_ENCODING" not in told


def test_threads_and_processes_are_told(serve, dial):
    told = json.loads(dial(serve("environs", "--threads", "2", workers=2)).get().body)
    assert value(told, "wsgi.multithread") is True
    assert value(told, "wsgi.multiprocess") is True


def test_unix_socket(serve, dial, tmp_path):
    path = tmp_path / "socket"
    told = json.loads(dial(serve("environs", bind=f"unix:{path}")).get().body)
    assert value(told, "REMOTE_ADDR") == ""
    assert "REMOTE_PORT" not in told
    assert value(told, "SERVER_NAME")
    assert value(told, "SERVER_PORT")
