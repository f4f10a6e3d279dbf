"""--log-format json: each line of both logs is one object."""

from __future__ import annotations

import json
import signal
from datetime import datetime

import pytest

from support import eventually


def test_access_log(serve, dial):
    server = serve("hello", "--log-format", "json")
    with dial(server) as peer:
        peer.send(
            b'GET /a"b?c=\\d HTTP/1.1\r\nHost: here\r\nUser-Agent: agent "7" \xfc\r\n'
            b"X-Request-ID: r-1\r\n"
            b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
        )
        assert peer.response().status == 200
    line = eventually(server.access_log)
    found = json.loads(line)
    when = datetime.fromisoformat(found.pop("time"))
    assert when.tzinfo is not None
    assert found.pop("duration_us") > 0
    assert found.pop("bytes") > 0
    assert found == {
        "pid": server.workers()[0],
        "client": "127.0.0.1",
        "method": "GET",
        "path": '/a"b',
        "query": "c=\\d",
        "protocol": "HTTP/1.1",
        "status": 200,
        "host": "here",
        "user_agent": 'agent "7" \xfc',
        "request_id": "r-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
    }


@pytest.mark.parametrize(
    "fields",
    [
        ["traceparent: 00-1-2-01"],
        ["traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] * 2,
    ],
    ids=["short", "version", "twice"],
)
def test_a_trace_that_is_not_valid_is_left_out(serve, dial, fields):
    server = serve("hello", "--log-format", "json")
    assert dial(server).get("/", *fields).status == 200
    assert not {"trace_id", "span_id"} & set(json.loads(eventually(server.access_log)))


def test_refused_requests_are_objects_too(serve, dial):
    server = serve("hello", "--log-format", "json")
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    found = json.loads(eventually(server.access_log))
    assert found["status"] == 400


def test_error_log(serve, dial, tmp_path):
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    1 / 0\n")
    server = serve("broken:app", "--log-format", "json", cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().status == 500
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert {"time", "level", "pid", "message"} == set(lines[0])
    messages = [line["message"] for line in lines]
    assert any(message.startswith("Listening at: ") for message in messages)
    (failure,) = [line for line in lines if line["level"] == "error"]
    assert failure["message"].startswith("Error handling request GET /\nTraceback")
    assert failure["message"].endswith("ZeroDivisionError: division by zero")


def test_reload_changes_the_shape(serve, tmp_path):
    settings = tmp_path / "settings.py"
    settings.write_text("")
    server = serve("hello", "-c", str(settings))
    settings.write_text("log_format = 'json'\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: '"message":"Booting worker with pid: ' in server.log())
