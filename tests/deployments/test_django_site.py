"""Django behind nginx, on a unix socket that systemd opens and hands over."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import eventually, front
from support.server import free_port

BOUNDARY = "not-to-be-found-in-random-bytes"

# Hands over descriptor 3 as systemd does, and becomes the server: its number has to be right.
HAND_OVER = """
import os, sys
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.dup2(int(sys.argv[1]), 3)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Site:
    """The server, nginx in front, and what systemd would hear."""

    def __init__(self, server, port: int, path: Path, ear: socket.socket) -> None:
        self.server = server
        self.port = port
        self.path = path
        self._ear = ear
        self._heard: list[str] = []

    def ask(self, path="/", method="GET", body=None, **fields):
        """One request through nginx; gives status, fields and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": "shop.example", **{k.replace("_", "-"): v for k, v in fields.items()}}
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        answer = response.status, response.headers, response.read()
        connection.close()
        return answer

    def heard(self) -> list[str]:
        """Everything that was said to the service manager, line by line."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard += self._ear.recv(4096).decode().split("\n")
        return self._heard


def service(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the unit."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(folder / "deploy/shop.service")
    name, _, text = unit["Service"]["Environment"].partition("=")
    return shlex.split(unit["Service"]["ExecStart"]), {name: text}


@pytest.fixture
def site(request, tree, deploy, tmp_path) -> Iterator[Site]:
    """The whole deployment, by its own files; the socket is handed over by a test's parameter."""
    # The path of a socket has to be short.
    folder = tree("django_site", "deploy/shop.service")
    path = tmp_path / "s"
    command, env = service(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, contextlib.ExitStack() as opened:
        notify = str(tmp_path / "n")
        ear.bind(notify)
        ear.setblocking(False)
        env = {**env, "NOTIFY_SOCKET": notify}
        if getattr(request, "param", "by hand") == "by hand":
            listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(128)
            number = listener.fileno()
            server = deploy(
                [sys.executable, "-c", HAND_OVER, str(number), *command],
                folder,
                env,
                pass_fds=[number],
            )
        else:
            activate = shutil.which("systemd-socket-activate")
            if activate is None:
                pytest.skip("systemd-socket-activate is not installed (Debian's systemd has it)")
            given = [f"--setenv={name}={text}" for name, text in env.items()]
            kept = [f"--setenv={name}" for name in ("PATH", "HOME")]
            server = deploy([activate, f"--listen={path}", *given, *kept, *command], folder, env)
            eventually(path.exists, within=60)
        text = (folder / "deploy/nginx.conf").read_text()
        text = text.replace("/run/shop/http.sock", str(path)).replace("/srv/shop", str(folder))
        port = free_port()
        proxy = front.nginx(text.replace("@PORT@", str(port)), port, tmp_path)
        opened.callback(proxy.end)
        it = Site(server, port, path, ear)
        # The first connection starts it, where nobody else has.
        assert it.ask()[0] == 200
        eventually(lambda: "READY=1" in it.heard())
        yield it


def test_pages(site):
    status, _, body = site.ask("/?a=1")
    seen = json.loads(body)
    assert status == 200
    assert seen["url"] == "https://shop.example/?a=1"
    assert (seen["secure"], seen["client"]) == (True, "127.0.0.1")
    assert seen["motto"] == "cheap and cheerful"
    assert site.ask("/static/shop.css")[2] == b"body { color: black }\n"
    assert site.ask("/nowhere")[0] == 404
    assert site.ask("/", Host="evil.example")[0] == 400
    status, fields, _ = site.ask("/old")
    assert (status, fields["Location"]) == (302, "/")
    assert site.ask("/broken")[0] == 500
    eventually(lambda: "broken on purpose" in site.server.log())
    eventually(lambda: '127.0.0.1 "GET /nowhere HTTP/1.1" 404' in site.server.out())
    # Django's own answer to a HEAD has a length and no body.
    status, fields, body = site.ask("/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(fields["Content-Length"]) > 0


def test_forms_and_uploads(site):
    _, fields, token = site.ask("/form")
    cookie = fields["Set-Cookie"].partition(";")[0]
    form = f"csrfmiddlewaretoken={token.decode()}&name=Ann"
    kind = {"Content_Type": "application/x-www-form-urlencoded", "Referer": "https://shop.example/"}
    status, _, body = site.ask("/form", "POST", form, Cookie=cookie, **kind)
    assert (status, body) == (200, b"thank you, Ann")
    assert site.ask("/form", "POST", form, **kind)[0] == 403
    content = os.urandom(3 * 1024 * 1024)
    upload = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n".encode()
        + content
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    status, _, body = site.ask(
        "/upload", "POST", upload, Content_Type=f"multipart/form-data; boundary={BOUNDARY}"
    )
    assert (status, body.decode()) == (200, hashlib.sha256(content).hexdigest())


def test_streams(site):
    status, _, body = site.ask("/stream")
    assert status == 200
    assert body.decode().splitlines() == [f"line {n}" for n in range(1000)]


def test_reload_keeps_the_socket_and_loses_nothing(site):
    before = json.loads(site.ask()[2])["pid"]
    site.server.signal(signal.SIGHUP)

    def pids_are_new() -> bool:
        status, _, body = site.ask()
        assert status == 200
        return json.loads(body)["pid"] not in (before,) and "shop: worker 4" in site.server.log()

    eventually(pids_are_new)
    for _ in range(20):
        assert site.ask()[0] == 200


@pytest.mark.parametrize("site", ["by hand", "systemd-socket-activate"], indirect=True)
def test_stop_leaves_the_socket_to_systemd(site):
    site.server.signal(signal.SIGTERM)
    assert site.server.ends() == 0
    assert stat.S_ISSOCK(site.path.stat().st_mode)
    log = site.server.log()
    assert log.count("shop: ready") == 1
    for line in ("shop: worker 1\n", "shop: worker 2\n", "shop: worker 1 leaves", "shop: closed"):
        assert line in log
