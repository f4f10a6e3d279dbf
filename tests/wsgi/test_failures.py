"""An application that fails: the client sees it, the log tells it, the worker goes on."""

from __future__ import annotations

import pytest

from support import ProtocolError, eventually


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("responses")


@pytest.fixture
def peer(server, dial):
    return dial(server)


@pytest.fixture(autouse=True)
def same_worker(server, dial):
    """The worker that failed serves on."""
    before = server.workers()
    yield
    assert dial(server).get("/list").body == b"one"
    assert server.workers() == before


def logged(server, *texts):
    eventually(lambda: all(text in server.log() for text in texts))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/raise", "ValueError: out of the application"),
        ("/raise_begun", "ValueError: out of the application"),
        ("/raise_first", "ValueError: first item"),
        ("/exit", "SystemExit: 3"),
        ("/exit_0", "SystemExit: 0"),
        ("/interrupt", "KeyboardInterrupt"),
        ("/generator_exit", "GeneratorExit"),
        ("/unprintable", "Unprintable"),
        ("/silent", "did not call start_response"),
        ("/none", "TypeError"),
        ("/text", "must be bytes, not str"),
        ("/text_item", "must be bytes, not str"),
        ("/number_item", "must be bytes, not int"),
        ("/twice", "AssertionError: start_response was called a second time"),
        ("/write_early", "before start_response"),
        ("/write_text", "TypeError"),
        ("/bad_hints", "early hints refused"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_failure_before_the_head_is_a_whole_500(server, peer, path, error, method):
    peer.send(f"{method} {path}?secret HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    response = peer.response(to=method)
    assert response.status == 500
    assert peer.closed_by_server()
    assert b"secret" not in response.body
    assert b"Traceback" not in response.body
    assert (response.body == b"") == (method == "HEAD")
    logged(server, error, f"Error handling request {method} {path}?secret\n")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/raise_later", "ValueError: later item"),
        ("/raise_later_sized", "ValueError: later item"),
        ("/too_late", "KeyError: 'first'"),
    ],
)
def test_failure_after_the_head_is_a_visible_cut(server, peer, path, error):
    with pytest.raises(ProtocolError, match="closed"):
        peer.get(path)
    logged(server, error, f"Error handling request GET {path}\n")


@pytest.mark.parametrize("path", ["/raise_first", "/raise_later", "/text_item"])
def test_closed_once_after_a_failure(server, peer, path):
    before = server.log().count(f"closed {path}\n")
    peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    peer.rest()
    eventually(lambda: server.log().count(f"closed {path}\n") == before + 1)


def test_failing_close_ends_the_connection(server, peer):
    assert peer.get("/bad_close").body == b"one"
    assert peer.closed_by_server()
    logged(server, "RuntimeError: in close")


def test_closed_once_when_the_client_goes(server, peer):
    peer.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.head().status == 200
    assert peer.chunk() == b"tick"
    before = server.log().count("Error handling")
    peer.reset()
    eventually(lambda: server.log().count("closed /endless\n") == 1)
    assert server.log().count("Error handling") == before


@pytest.mark.parametrize(
    "name",
    [
        "informational",
        "switching",
        "no_reason",
        "low",
        "high",
        "letters",
        "status_bytes",
        "status_number",
        "status_control",
        "status_wide",
        "name_space",
        "name_empty",
        "name_colon",
        "name_newline",
        "name_bytes",
        "value_newline",
        "value_return",
        "value_nul",
        "value_number",
        "value_wide",
        "triple",
        "header_text",
        "headers_dict",
        "length_twice",
        "length_sign",
        "length_text",
    ],
)
def test_bad_status_or_header_is_refused(server, peer, name):
    response = peer.get(f"/bad/{name}")
    assert response.status == 500
    assert response.get("X") is None
    assert peer.closed_by_server()
    logged(server, f"Error handling request GET /bad/{name}\n")
    # No message repeats a value, which may be a secret.
    assert "secret" not in server.log().replace("?secret", "")
