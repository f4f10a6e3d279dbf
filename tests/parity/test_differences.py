"""The guide's tables of what differs from gunicorn: each row is seen with both, or names its test.

A row that is no longer so fails here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import Peer, ProtocolError, Response, eventually
from support.deployed import Deployed
from support.server import environment, free_port

ROOT = Path(__file__).resolve().parents[2]

APPLICATION = """
import json
import time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        environ["wsgi.input"].read()
    elif path == "/boom":
        raise RuntimeError("boom")
    elif path == "/one":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one"]
    elif path == "/sleep":
        time.sleep(600)
    elif path == "/socket":
        page = b"there" if "gunicorn.socket" in environ else b"not there"
        start_response("200 OK", [("Content-Length", str(len(page)))])
        return [page]
    elif path == "/short":
        start_response("200 OK", [("Content-Length", "10")])
        return [b"one"]
    elif path == "/own":
        fields = [("Server", "own"), ("Date", "own"), ("Content-Length", "0")]
        start_response("200 OK", fields)
        return []
    elif path == "/close":
        start_response("200 OK", [("Connection", "close"), ("Content-Length", "0")])
        return []
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    page = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]


class site:
    wsgi = staticmethod(app)
"""


class Answer:
    """The response to a request, on a connection that is still there."""

    def __init__(self, port: int, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._peer = Peer(self._socket)
        self._peer.send(request)
        method, target = request.split()[:2]
        if target == b"/short":
            self.response = self._peer.head()
            self._peer.read(3)
        else:
            self.response: Response = self._peer.response(to=method.decode())

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def is_kept(self) -> bool:
        """Whether something more is answered."""
        self._peer.send(get())
        try:
            self._peer.read(1)
        except ProtocolError:
            return False
        return True

    def field(self, name: str) -> str | None:
        return self.response.get(name)

    def seen(self, key: str) -> str | None:
        """What the application saw."""
        assert self.status == 200, self.response
        value = json.loads(self.response.body).get(key)
        assert value is None or isinstance(value, str)
        return value

    def end(self) -> None:
        self._socket.close()


def get(target: str = "/", *fields: str, version: str = "HTTP/1.1", method: str = "GET") -> bytes:
    """A request without a body."""
    lines = [f"{method} {target} {version}", *(fields or ("Host: a",)), "", ""]
    return "\r\n".join(lines).encode()


def chunked(coding: str) -> bytes:
    head = get("/read", "Host: a", f"Transfer-Encoding: {coding}", method="POST")
    return head + b"3\r\nabc\r\n0\r\n\r\n"


@dataclass
class Row:
    """A row of the guide that one request shows."""

    request: bytes
    see: Callable[[Answer], object]
    gunicorn: object
    oxicorn: object


def status(it: Answer) -> int:
    return it.status


ON_THE_WIRE = {
    "a chunked request has no `CONTENT_LENGTH`": Row(
        chunked("chunked"),
        lambda it: (it.seen("CONTENT_LENGTH"), it.seen("HTTP_TRANSFER_ENCODING")),
        (None, "chunked"),
        ("3", None),
    ),
    "no limit for a body": Row(
        get("/", "Host: a", "Content-Length: 1073741825", method="POST"), status, 200, 413
    ),
    "HTTP/1.1 without `Host` is served": Row(get("/", "X: a"), status, 200, 400),
    "a `Host` that cannot be one is served": Row(get("/", "Host: a b"), status, 200, 400),
    "with an absolute URL as target, `Host` stays as it was": Row(
        get("http://b/"), lambda it: it.seen("HTTP_HOST"), "a", "b"
    ),
    "a fragment in the target is cut off": Row(get("/x#y"), status, 200, 400),
    "`CONNECT` reaches the application": Row(get("a:80", method="CONNECT"), status, 200, 501),
    "request line up to 4094 bytes": Row(get(f"/{'x' * 5000}"), status, 414, 200),
    "repeated `Cookie` fields join with `,`": Row(
        get("/", "Host: a", "Cookie: a=1", "Cookie: b=2"),
        lambda it: it.seen("HTTP_COOKIE"),
        "a=1,b=2",
        "a=1; b=2",
    ),
    "methods in lower case, or longer than 20 letters, get 400": Row(
        get(method="get"), status, 400, 200
    ),
    "another version than 1.0 and 1.1 gets 400": Row(get(version="HTTP/2.0"), status, 400, 505),
    "`gzip, chunked` reaches the application compressed": Row(
        chunked("gzip, chunked"), status, 200, 501
    ),
    "a path outside of `SCRIPT_NAME` gets 500": Row(
        get("/", "Host: a", "SCRIPT_NAME: /x"), status, 500, 400
    ),
    "every environ has `gunicorn.socket`": Row(
        get("/socket"), lambda it: it.response.body, b"there", b"not there"
    ),
    "there is no `REQUEST_URI`": Row(
        get("/%41?b"), lambda it: it.seen("REQUEST_URI"), None, "/%41?b"
    ),
    "`Server: gunicorn`": Row(
        get(),
        lambda it: (it.field("Server"), str(it.seen("SERVER_SOFTWARE")).partition("/")[0]),
        ("gunicorn", "gunicorn"),
        ("oxicorn", "oxicorn"),
    ),
    "an application's `Server` and `Date` are dropped": Row(
        get("/own"),
        lambda it: (it.field("Server") == "own", it.field("Date") == "own"),
        (False, False),
        (True, True),
    ),
    "an application's `Connection: close` is dropped": Row(
        get("/close"), lambda it: it.is_kept, True, False
    ),
    "a response of one item is chunked": Row(
        get("/one"), lambda it: it.field("Content-Length"), None, "3"
    ),
    "after a body that is too short, the connection goes on": Row(
        get("/short"), lambda it: it.is_kept, True, False
    ),
    "`Connection: keep-alive` in each response": Row(
        get(), lambda it: it.field("Connection"), "keep-alive", None
    ),
    "its own error pages have no `Server` and `Date`": Row(
        get("/boom"),
        lambda it: (it.field("Server"), it.field("Date") is not None),
        (None, False),
        ("oxicorn", True),
    ),
}

# Rows about settings: options and environment, and whether each server takes them.
CHECKED = {
    "`module` alone means `module:application`": (["shop"], {}, False, True),
    "`module:object.attribute` is refused": (["shop:site.wsgi"], {}, False, True),
    "a misspelt name in the settings file passes silently": (
        ["-c", "misspelt.py", "shop:app"],
        {},
        True,
        True,
    ),
    "an unknown `loglevel` means `info`": (["--log-level", "loud", "shop:app"], {}, True, False),
    "`worker_class` may be a class of one's own": (
        ["-k", "shop.site", "shop:app"],
        {},
        True,
        False,
    ),
    "words after the application are ignored": (["shop:app", "more"], {}, True, False),
    "an empty `WEB_CONCURRENCY` is an error": (["shop:app"], {"WEB_CONCURRENCY": ""}, False, True),
}

# Rows that other tests show.
ELSEWHERE = {
    "`permit_obsolete_folding` joins lines of any field with one space": (
        "test_each_switch_permits_one_thing"
    ),
    "`permit_unconventional_http_version` lets the number pass": (
        "test_each_switch_permits_one_thing"
    ),
    "on HUP `nworkers_changed` is called before `on_reload`": (
        "test_the_same_hooks_in_the_same_order"
    ),
    "`sync` workers close each connection": "test_sync_workers",
    "`limit_request_line` above 8190 means 8190": "test_longer_request_lines",
    "`%(h)s` is empty for a client on a unix socket": "test_clients_on_unix_sockets",
    "`gunicorn.SERVER = …` in the settings file changes the `Server` field": (
        "test_a_server_header_set_there_is_warned_about"
    ),
    "the application runs while the body arrives": "test_silent_uploads_leave_the_threads_free",
    "a slow reader holds the thread that answers it": (
        "test_clients_that_never_read_leave_the_threads_free"
    ),
    "a PROXY header of v2 `LOCAL` or v1 `UNKNOWN` gives no address, or 400": (
        "test_a_header_that_names_nobody_keeps_the_peer"
    ),
    "a fault in a PROXY header is answered with 400 or 403": "test_a_fault_closes_without_a_word",
    "a value that a setting does not take ends with 1": "test_exit_codes_of_wrong_values",
    "a request that `timeout` ends may get a 500": "test_a_request_that_timeout_ends",
    "in the access log a failure of the application has no size and no user agent": (
        "test_the_access_line_of_a_failure"
    ),
    "refused requests are not in the access log": "test_a_refused_request_has_its_line",
    "on HUP old workers are told to leave at once": "test_broken_code_keeps_the_old_workers",
    "a worker that exits with 3 or 4 while serving stops the master": (
        "test_application_exit_codes_do_not_stop_the_master"
    ),
    "with `max_requests` a worker leaves before its replacement starts": (
        "test_max_requests_replaces_first"
    ),
    "heartbeats are files (`worker_tmp_dir`)": "test_files_of_the_server",
    "a control socket is opened below the home directory": "test_files_of_the_server",
    "with `reuse_port` each worker has a socket of its own": (
        "test_reuse_port_lets_two_servers_share"
    ),
    "`--reload` shows a page for a `SyntaxError`": "test_a_mistake_is_shown_and_recovered_from",
    "`post_request` runs after the access log": "test_post_request_runs_after_a_failure",
    "after USR2 the new master takes all sockets": "test_the_new_one_takes_over",
    "READY is said to systemd when the sockets listen": (
        "test_ready_comes_after_the_application_is_loaded"
    ),
    "without `initgroups` workers keep root's groups": "test_workers_change_user_and_groups",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the application is."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "shop.py").write_text(APPLICATION)
    (folder / "misspelt.py").write_text("wrokers = 3\n")
    return folder


@pytest.fixture(scope="module", params=["gunicorn", "oxicorn"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, int]]:
    """Either of them, with threads; its name and port."""
    port = free_port()
    command = [request.param, "-b", f"127.0.0.1:{port}", "--threads", "4", "shop:app"]
    deployed = Deployed(command, folder, {"XDG_RUNTIME_DIR": ""})
    try:
        deployed.says("Booting worker")
        yield request.param, port
    finally:
        deployed.end()


@pytest.mark.parametrize("text", ON_THE_WIRE)
def test_row(server, text):
    name, port = server
    row = ON_THE_WIRE[text]
    answer = Answer(port, row.request)
    try:
        assert row.see(answer) == getattr(row, name)
    finally:
        answer.end()


@pytest.mark.parametrize(("name", "status"), [("gunicorn", 414), ("oxicorn", 200)])
def test_longer_request_lines(name, status, folder):
    port = free_port()
    command = [name, "-b", f"127.0.0.1:{port}", "--limit-request-line", "20000", "shop:app"]
    deployed = Deployed(command, folder, {"XDG_RUNTIME_DIR": ""})
    try:
        deployed.says("Booting worker")
        answer = Answer(port, get(f"/{'x' * 10000}"))
        assert answer.status == status
        answer.end()
    finally:
        deployed.end()


@pytest.mark.parametrize(("name", "line"), [("gunicorn", "<>"), ("oxicorn", "<->")])
def test_clients_on_unix_sockets(name, line, folder, tmp_path):
    options = ["-b", f"unix:{tmp_path}/s", "--access-logfile", "-", "--access-logformat", "<%(h)s>"]
    deployed = Deployed([name, *options, "shop:app"], folder, {"XDG_RUNTIME_DIR": ""})
    try:
        deployed.says("Booting worker")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{tmp_path}/s")
            assert Peer(connection).get().status == 200
        eventually(lambda: deployed.out() == f"{line}\n")
    finally:
        deployed.end()


@pytest.mark.parametrize(("name", "line"), [("gunicorn", "<500 0 ->"), ("oxicorn", "<500 186 me>")])
def test_the_access_line_of_a_failure(name, line, folder, tmp_path):
    form = ["--access-logfile", str(tmp_path / "log"), "--access-logformat", "<%(s)s %(b)s %(a)s>"]
    port = free_port()
    deployed = Deployed([name, "-b", f"127.0.0.1:{port}", *form, "shop:app"], folder, {})
    try:
        deployed.says("Booting worker")
        answer = Answer(port, get("/boom", "Host: a", "User-Agent: me"))
        assert answer.status == 500
        answer.end()
        eventually(lambda: (tmp_path / "log").read_text() == f"{line}\n")
    finally:
        deployed.end()


def test_a_request_that_timeout_ends(folder):
    """gunicorn's answer is a race with its second signal, and not asked for."""
    port = free_port()
    options = ["-b", f"127.0.0.1:{port}", "--timeout", "1"]
    deployed = Deployed(["oxicorn", *options, "shop:app"], folder, {})
    try:
        deployed.says("Booting worker")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(get("/sleep"))
            assert connection.recv(100) == b""
        deployed.says("WORKER TIMEOUT")
    finally:
        deployed.end()


@pytest.mark.parametrize(("name", "code"), [("gunicorn", 1), ("oxicorn", 2)])
def test_exit_codes_of_wrong_values(name, code, folder):
    on_the_line = [name, "--check-config", "-w", "-1", "shop:app"]
    assert run(on_the_line, folder, {}).returncode == code
    (folder / "wrong.py").write_text("workers = -1\n")
    in_a_file = [name, "--check-config", "-c", "wrong.py", "shop:app"]
    assert run(in_a_file, folder, {}).returncode == 1


@pytest.mark.parametrize(("name", "is_kept"), [("gunicorn", False), ("oxicorn", True)])
def test_sync_workers(name, is_kept, folder):
    port = free_port()
    deployed = Deployed([name, "-b", f"127.0.0.1:{port}", "shop:app"], folder, {})
    try:
        deployed.says("Booting worker")
        answer = Answer(port, get())
        assert answer.is_kept is is_kept
        answer.end()
    finally:
        deployed.end()


@pytest.mark.parametrize("name", ["gunicorn", "oxicorn"])
def test_files_of_the_server(name, tmp_path):
    """gunicorn needs directories that can be written."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "shop.py").write_text(APPLICATION)
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": ""}
    command = [name, "-b", f"127.0.0.1:{free_port()}", "shop:app"]
    deployed = Deployed(command, tmp_path, env)
    try:
        deployed.says("Booting worker")
        deployed.signal(signal.SIGTERM)
        assert deployed.ends() == 0
        assert [path.name for path in home.iterdir()] == [".gunicorn"] * (name == "gunicorn")
    finally:
        deployed.end()
    command[1:1] = ["--worker-tmp-dir", str(tmp_path / "nowhere"), "--check-config"]
    done = run(command, tmp_path, env)
    assert "has no effect" in done.stderr if name == "oxicorn" else done.stderr == ""


def run(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment(), "PATH": path, "HOME": str(folder), "PYTHONPATH": "", **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("text", CHECKED)
@pytest.mark.parametrize("name", ["gunicorn", "oxicorn"])
def test_setting(name, text, folder):
    options, env, *accepted = CHECKED[text]
    done = run([name, "--check-config", *options], folder, env)
    assert (done.returncode == 0) is accepted[name == "oxicorn"], done.stderr
    if "misspelt" in text:
        assert ("did you mean `workers`" in done.stderr) is (name == "oxicorn")


def test_what_is_looked_at_stands_in_the_guide():
    guide = (ROOT / "docs/guides/from-gunicorn.md").read_text()
    rows = set(re.findall(r"^\| (.+?) \| ", guide, re.MULTILINE))
    assert {*ON_THE_WIRE, *CHECKED, *ELSEWHERE} - rows == set()


def test_the_tests_that_rows_name_exist():
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [test for test in ELSEWHERE.values() if f"def {test}(" not in sources]
    assert missing == []
