"""USR2: another program in the place of the running one."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from support import Peer, eventually

APP = """
import os

def app(environ, start_response):
    page = f"{os.getppid()} {os.environ.get('OXICORN_FD')}".encode()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


@pytest.fixture
def upgradable(serve, tmp_path):
    """A server whose pages name their master, and its pidfile."""

    def start(*options, bind="127.0.0.1:0"):
        (tmp_path / "parent.py").write_text(APP)
        pidfile = tmp_path / "server.pid"
        server = serve("parent:app", "--pid", str(pidfile), *options, cwd=tmp_path, bind=bind)
        eventually(pidfile.exists)
        return server, pidfile

    return start


def masters(server, wanted):
    """Waits until these masters' workers have answered, and no others."""
    seen = set()

    def ask():
        recent = []
        for _ in range(8):
            with Peer(server.connect()) as peer:
                recent.append(int(peer.get().body.split()[0]))
        seen.update(recent)
        return set(recent) <= wanted and seen >= wanted

    eventually(ask)


def upgrade(server, pidfile):
    """Upgrades and gives the new master's process id."""
    second = pidfile.with_name(pidfile.name + ".2")
    server.signal(signal.SIGUSR2)
    eventually(second.exists)
    new = int(second.read_text())
    eventually(lambda: server.log().count("Listening at") >= 2)
    return new


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_new_one_takes_over(upgradable, tmp_path, kind):
    path = tmp_path / "app.sock"
    bind = "127.0.0.1:0" if kind == "tcp" else f"unix:{path}"
    server, pidfile = upgradable(bind=bind)
    failures, done = [], threading.Event()

    def load():
        while not done.is_set():
            try:
                with Peer(server.connect()) as peer:
                    assert peer.get().status == 200
            except Exception as failure:
                failures.append(repr(failure))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        new = upgrade(server, pidfile)
        masters(server, {server.pid, new})
        assert server.stop() == 0
        eventually(lambda: pidfile.exists() and pidfile.read_text() == f"{new}\n")
        assert "Master has been promoted." in server.log()
        assert not pidfile.with_name(pidfile.name + ".2").exists()
        masters(server, {new})
    finally:
        done.set()
        thread.join()
    assert not failures
    assert kind == "tcp" or path.exists()
    os.kill(new, signal.SIGTERM)
    eventually(lambda: not pidfile.exists())
    assert not path.exists()


def title(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def test_the_new_one_is_second_by_name_until_it_is_alone(upgradable):
    pytest.importorskip("setproctitle")
    server, pidfile = upgradable("--name", "shop")
    new = upgrade(server, pidfile)
    eventually(lambda: title(new) == "oxicorn: master [shop.2]")

    def worker_titles():
        path = Path(f"/proc/{new}/task/{new}/children")
        return {title(int(pid)) for pid in path.read_text().split()}

    eventually(lambda: worker_titles() == {"oxicorn: worker [shop.2]"})
    assert title(server.pid) == "oxicorn: master [shop]"
    assert server.stop() == 0
    eventually(lambda: title(new) == "oxicorn: master [shop]")
    os.kill(new, signal.SIGTERM)
    eventually(lambda: not pidfile.exists())


def test_roll_back(upgradable, tmp_path):
    path = tmp_path / "app.sock"
    server, pidfile = upgradable(bind=f"unix:{path}")
    new = upgrade(server, pidfile)
    server.signal(signal.SIGUSR2)
    eventually(lambda: "Signal usr2 ignored: there is a child master" in server.log())
    os.kill(new, signal.SIGUSR2)
    eventually(lambda: "Signal usr2 ignored: there is a parent master" in server.log())
    os.kill(new, signal.SIGQUIT)
    eventually(lambda: f"The new master (pid:{new}) ended; this one serves on" in server.log())
    assert pidfile.read_text() == f"{server.pid}\n"
    assert not pidfile.with_name(pidfile.name + ".2").exists()
    masters(server, {server.pid})
    # And then it works.
    again = upgrade(server, pidfile)
    assert again != new
    os.kill(again, signal.SIGQUIT)
    eventually(lambda: f"The new master (pid:{again}) ended" in server.log())


def test_a_new_program_that_does_not_start_changes_nothing(upgradable, tmp_path):
    server, pidfile = upgradable()
    masters(server, {server.pid})
    (tmp_path / "parent.py").write_text("raise RuntimeError('not this version')\n")
    server.signal(signal.SIGUSR2)
    eventually(lambda: "ended; this one serves on" in server.log())
    assert "not this version" in server.log()
    masters(server, {server.pid})
    assert pidfile.read_text() == f"{server.pid}\n"


def test_pre_exec_runs_in_the_child(upgradable, tmp_path):
    settings = tmp_path / "settings.py"
    settings.write_text(
        "import os\n"
        "def pre_exec(server):\n"
        "    server.log.info('before exec: %s', os.getpid() != server.pid)\n"
    )
    server, pidfile = upgradable("-c", str(settings))
    new = upgrade(server, pidfile)
    assert "before exec: True" in server.log()
    os.kill(new, signal.SIGQUIT)
    eventually(lambda: f"The new master (pid:{new}) ended" in server.log())


def test_variables_of_the_upgrade_do_not_reach_the_application(upgradable):
    server, pidfile = upgradable()
    new = upgrade(server, pidfile)
    assert server.stop() == 0
    with Peer(server.connect()) as peer:
        assert peer.get().body.decode().split() == [str(new), "None"]
