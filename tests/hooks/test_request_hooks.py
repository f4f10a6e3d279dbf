"""pre_request and post_request: what they see, and what their mistakes do."""

from __future__ import annotations

import json

import pytest

from support import eventually

APP = """
def app(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/fails':
        raise RuntimeError('broken on purpose')
    if path == '/late':
        start_response('200 OK', [])
        raise RuntimeError('broken later')
    start_response('201 Made', [('Content-Type', 'text/plain'), ('X-Twice', 'a'), ('X-Twice', 'b')])
    return [b'made', b' it']
"""

NOTE = """
import json

def note(**what):
    with open('notes.txt', 'a') as file:
        file.write(json.dumps(what) + '\\n')
"""


@pytest.fixture
def hooked(serve, tmp_path):
    """Starts APP with these lines in its settings file, and gives it with the notes they made."""

    def start(lines):
        (tmp_path / "made.py").write_text(APP)
        (tmp_path / "settings.py").write_text(NOTE + lines)
        server = serve("made:app", "-c", "settings.py", cwd=tmp_path)
        path = tmp_path / "notes.txt"

        def notes(count):
            def found():
                lines = path.read_text().splitlines() if path.exists() else []
                return [json.loads(line) for line in lines] if len(lines) >= count else None

            return eventually(found)

        return server, notes

    return start


def test_what_they_see(hooked, dial):
    server, notes = hooked(
        "def pre_request(worker, req):\n"
        "    note(pid=worker.pid, age=worker.age, method=req.method, path=req.path, uri=req.uri,\n"
        "         query=req.query, version=req.version, headers=req.headers,\n"
        "         client=req.remote_addr[0])\n"
        "def post_request(worker, req, environ, resp):\n"
        "    note(path=req.path, decoded=environ['PATH_INFO'], status=resp.status,\n"
        "         code=resp.status_code, sent=resp.sent, headers=resp.headers, nr=worker.nr)\n"
    )
    with dial(server) as peer:
        head = b"POST /a%20b?c=%64 HTTP/1.1\r\nHost: here\r\nx-Low: 1\r\nX-Low: 2\r\n"
        peer.send(head + b"Content-Length: 0\r\n\r\n")
        assert peer.response().status == 201
    before, after = notes(2)
    assert before == {
        "pid": server.workers()[0],
        "age": 1,
        "method": "POST",
        "path": "/a%20b",
        "uri": "/a%20b?c=%64",
        "query": "c=%64",
        "version": [1, 1],
        "headers": [["HOST", "here"], ["X-LOW", "1"], ["X-LOW", "2"], ["CONTENT-LENGTH", "0"]],
        "client": "127.0.0.1",
    }
    assert after == {
        "path": "/a%20b",
        "decoded": "/a b",
        "status": "201 Made",
        "code": 201,
        "sent": 7,
        "headers": [
            ["Content-Type", "text/plain"],
            ["X-Twice", "a"],
            ["X-Twice", "b"],
            ["Content-Length", "7"],
        ],
        "nr": 1,
    }


@pytest.mark.parametrize(
    ("parameters", "seen"),
    [("worker, req", 2), ("worker, req, environ", 3), ("worker, req, environ, resp", 4)],
)
def test_post_request_takes_two_to_four(hooked, dial, parameters, seen):
    server, notes = hooked(
        f"def post_request({parameters}):\n    note(seen=len(({parameters})), path=req.path)\n"
    )
    with dial(server) as peer:
        assert peer.get("/x").status == 201
    assert notes(1) == [{"seen": seen, "path": "/x"}]


def test_post_request_runs_after_a_failure(hooked, dial):
    server, notes = hooked(
        "def post_request(worker, req, environ, resp):\n"
        "    note(path=req.path, status=resp.status, headers=resp.headers)\n"
    )
    for path in ("/fails", "/late"):
        with dial(server) as peer:
            assert peer.get(path).status == 500
    assert notes(2) == [
        {"path": path, "status": "500 Internal Server Error", "headers": []}
        for path in ("/fails", "/late")
    ]


def test_a_failing_pre_request_is_answered_with_500(hooked, dial):
    server, notes = hooked(
        "def pre_request(worker, req):\n"
        "    note(path=req.path)\n"
        "    if req.path == '/no':\n"
        "        raise ValueError('not this one')\n"
    )
    with dial(server) as peer:
        assert peer.get("/no").status == 500
    with dial(server) as peer:
        assert peer.get("/yes").status == 201
    assert "ValueError: not this one" in server.log()
    assert [note["path"] for note in notes(2)] == ["/no", "/yes"]


def test_a_failing_post_request_is_only_logged(hooked, dial):
    server, _ = hooked(
        "def post_request(worker, req):\n    raise ValueError('too late to matter')\n"
    )
    with dial(server) as peer:
        assert peer.get("/").status == 201
        assert peer.get("/").status == 201
    eventually(lambda: "too late to matter" in server.log())
    assert "Exception in post_request" in server.log()
