"""A server in the background."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest

from support import Peer, eventually, free_port
from support.server import command, environment


@pytest.fixture
def daemon(oxicorn, tmp_path):
    """Starts one; gives its pid, its port and its log, and ends it."""
    started = []

    def start(*options):
        port, pidfile, log = free_port(), tmp_path / "d.pid", tmp_path / "d.log"
        files = ["--pid", str(pidfile), "--error-logfile", str(log)]
        done = oxicorn("-D", "-b", f"127.0.0.1:{port}", *files, *options, "apps.whoami:app")
        assert done.returncode == 0, done.stderr
        eventually(lambda: log.exists() and "Booting worker" in log.read_text())
        started.append(int(pidfile.read_text()))
        return started[-1], port, log

    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        eventually(lambda pid=pid: is_gone(pid))


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def answers(port):
    with Peer(socket.create_connection(("127.0.0.1", port), timeout=30)) as peer:
        return int(peer.get().body)


def test_it_goes_on_by_itself(daemon):
    pid, port, _ = daemon()
    assert answers(port) != pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.getsid(pid) != pid
    for number in (0, 1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{number}") == os.devnull


def test_it_may_keep_its_output(tmp_path):
    """-R: what is no terminal stays."""
    pidfile, output = tmp_path / "d.pid", tmp_path / "output"
    options = ["-D", "-R", "-b", f"unix:{tmp_path}/d.sock", "--pid", str(pidfile)]
    with output.open("wb") as file:
        done = subprocess.run(
            [*command(), *options, "apps.hello:app"],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, output.read_text()
    eventually(lambda: "Booting worker" in output.read_text())
    pid = int(pidfile.read_text())
    try:
        assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
        assert os.readlink(f"/proc/{pid}/fd/1") == str(output)
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: is_gone(pid))


def test_winch_lets_the_workers_go_and_hup_brings_them_back(daemon):
    pid, port, log = daemon()
    first = answers(port)
    os.kill(pid, signal.SIGWINCH)
    eventually(lambda: is_gone(first))
    os.kill(pid, signal.SIGHUP)
    eventually(lambda: log.read_text().count("Booting worker") == 2)
    assert answers(port) not in (pid, first)


def test_winch_means_nothing_in_the_foreground(serve):
    server = serve("whoami", "--log-level", "debug")
    eventually(lambda: server.workers())
    workers = server.workers()
    server.signal(signal.SIGWINCH)
    eventually(lambda: "SIGWINCH ignored: not running as a daemon" in server.log())
    assert server.workers() == workers
