"""What systemd hears of a server of `Type=notify`."""

from __future__ import annotations

import signal
import socket

import pytest

from support import eventually


@pytest.fixture
def manager(tmp_path):
    """A socket as the service manager's, what came on it, and its name."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name)
        ear.setblocking(False)
        heard = []

        def listen():
            try:
                while True:
                    heard.append(ear.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return heard

        yield name, listen


def test_ready_reloading_stopping(serve, manager):
    name, heard = manager
    server = serve("whoami", env={"NOTIFY_SOCKET": name})
    ready = ["READY=1", f"STATUS=Serving at {server.url}", f"MAINPID={server.pid}"]
    eventually(lambda: heard() == [ready])
    server.signal(signal.SIGHUP)
    eventually(lambda: len(heard()) == 3)
    reloading = heard()[1]
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert heard()[2] == ready
    assert server.stop() == 0
    assert heard()[3:] == [["STOPPING=1"]]


def test_ready_comes_after_the_application_is_loaded(serve, manager, tmp_path):
    name, heard = manager
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "while not pathlib.Path('go').exists():\n"
        "    time.sleep(0.05)\n"
        "from apps.whoami import app\n"
    )
    server = serve("slow:app", cwd=tmp_path, env={"NOTIFY_SOCKET": name})
    eventually(lambda: server.workers())
    assert heard() == []
    (tmp_path / "go").touch()
    eventually(lambda: heard() and heard()[0][0] == "READY=1")


def test_a_failed_reload_is_ready_again(serve, manager, tmp_path):
    name, heard = manager
    settings = tmp_path / "settings.py"
    settings.write_text("")
    server = serve("whoami", "-c", str(settings), env={"NOTIFY_SOCKET": name})
    eventually(lambda: len(heard()) == 1)
    settings.write_text("workers = 'many'\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: [lines[0] for lines in heard()] == ["READY=1", "RELOADING=1", "READY=1"])


def test_watchdog(serve, manager):
    name, heard = manager
    serve("whoami", env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"})
    eventually(lambda: heard().count(["WATCHDOG=1"]) >= 5)


def test_the_watchdog_of_another_process_is_left_alone(serve, manager):
    name, heard = manager
    env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    server = serve("whoami", env=env)
    eventually(lambda: len(heard()) == 1)
    server.signal(signal.SIGHUP)
    eventually(lambda: [lines[0] for lines in heard()] == ["READY=1", "RELOADING=1", "READY=1"])
