"""The files of deploy/ for service managers and images, as far as they can be tried here."""

from __future__ import annotations

import configparser
import contextlib
import getpass
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support import eventually
from support.front import DEPLOY, need
from support.server import environment, free_port

OXICORN = str(Path(sys.executable).parent / "oxicorn")
PROGRAM = "/srv/shop/.venv/bin/oxicorn"
APPLICATION = "from apps.hello import app\n"


def unit(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / name)
    return parser


def fetch(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        return response.read()


def answers(port):
    with contextlib.suppress(OSError):
        return fetch(port) == b"hello\n"
    return False


def test_every_file_is_tried():
    """By a test here, or by those of tests/proxy."""
    here = {
        "oxicorn.service",
        "oxicorn-redirect.service",
        "oxicorn-redirect.socket",
        "oxicorn-tls.service",
        "oxicorn-tls.socket",
        "oxicorn.socket",
        "certbot-deploy-hook.sh",
        "Dockerfile",
        "start.sh",
        "supervisor.conf",
    }
    fronts = {"Caddyfile", "apache.conf", "haproxy-http.cfg", "haproxy.cfg", "nginx.conf"}
    assert {path.name for path in DEPLOY.iterdir()} == here | fronts


def test_systemd_accepts_the_units(tmp_path):
    analyze = need("systemd-analyze")
    units = {
        path.name: path.name.replace("oxicorn", "shop")
        for path in DEPLOY.iterdir()
        if path.suffix in {".service", ".socket"}
    }
    assert len(units) == 6
    for name, copy in units.items():
        text = (DEPLOY / name).read_text().replace(PROGRAM, OXICORN)
        (tmp_path / copy).write_text(text)
    services = [str(tmp_path / copy) for copy in units.values() if copy.endswith("service")]
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *services],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    complaints = [line for line in done.stderr.splitlines() if "shop." in line]
    assert (done.returncode, complaints) == (0, [])


def test_the_service_starts_what_can_be_started(oxicorn, tmp_path):
    program, *options = shlex.split(unit("oxicorn.service")["Service"]["ExecStart"])
    assert program == PROGRAM
    (tmp_path / "shop.py").write_text(APPLICATION)
    done = oxicorn("--check-config", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_limits_of_time_fit():
    """Who stops the server waits longer than the server for its requests."""
    graceful = 30
    for name in ("oxicorn.service", "oxicorn-tls.service", "oxicorn-redirect.service"):
        assert int(unit(name)["Service"]["TimeoutStopSec"]) > graceful
    assert int(unit("supervisor.conf")["program:shop"]["stopwaitsecs"]) > graceful
    assert "--graceful-timeout 8 " in (DEPLOY / "start.sh").read_text()  # docker waits for 10


def test_the_image_starts_the_script():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert 'CMD ["deploy/start.sh"]' in lines
    assert os.access(DEPLOY / "start.sh", os.X_OK)
    assert "STOPSIGNAL SIGTERM" in lines


def test_the_script_of_the_image(deploy, tmp_path):
    (tmp_path / "shop.py").write_text(APPLICATION)
    shutil.copy(DEPLOY / "start.sh", tmp_path)
    port = free_port()
    path = str(Path(__file__).resolve().parents[1])
    env = {"PORT": str(port), "WEB_CONCURRENCY": "2", "PYTHONPATH": path}
    server = deploy(["./start.sh"], tmp_path, env)
    server.says("Booting worker", times=2)
    assert fetch(port) == b"hello\n"
    assert f"Listening at: http://0.0.0.0:{port} ({server.process.pid})" in server.log()
    server.signal(signal.SIGTERM)
    assert server.ends() == 0


@pytest.fixture
def supervisor(tmp_path):
    """Runs supervisord with the example, and gives a way to command it."""
    pytest.importorskip("supervisor")
    port = free_port()
    (tmp_path / "shop.py").write_text(APPLICATION)
    example = (DEPLOY / "supervisor.conf").read_text()
    for old, new in {
        PROGRAM: OXICORN,
        "127.0.0.1:4000": f"127.0.0.1:{port}",
        "/srv/shop": str(tmp_path),
        "/var/log/shop": str(tmp_path),
        "user=shop\n": f"user={getpass.getuser()}\n",
    }.items():
        assert old in example
        example = example.replace(old, new)
    socket_path = f"{tmp_path}/s"
    config = tmp_path / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
        f"[unix_http_server]\nfile={socket_path}\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[supervisorctl]\nserverurl=unix://{socket_path}\n{example}"
    )
    program = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)]
    process = subprocess.Popen(
        program, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(config), *words],
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout

    yield command, port, tmp_path
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_supervisor(supervisor):
    command, port, folder = supervisor
    eventually(lambda: answers(port), within=60)
    eventually(lambda: "RUNNING" in command("status", "shop"), within=60)
    (folder / "shop.py").write_text(APPLICATION.replace("hello", "whoami"))
    assert "signalled" in command("signal", "HUP", "shop")
    eventually(lambda: fetch(port) != b"hello\n", within=60)
    assert "stopped" in command("stop", "shop")
    assert re.search(r"Shutting down: Master", (folder / "error.log").read_text())
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
