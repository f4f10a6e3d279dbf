"""Who the processes are: user, groups, umask, names."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from pathlib import Path

import pytest

from support import eventually

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def status(pid, field):
    """A line of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.split()
    raise AssertionError(field)


def the_worker(server):
    eventually(lambda: server.workers())
    return server.workers()[0]


@AS_ROOT
@pytest.mark.parametrize("all_groups", [True, False])
def test_workers_change_user_and_groups(serve, dial, all_groups):
    user = pwd.getpwnam("nobody")
    options = ["--initgroups"] if all_groups else []
    server = serve("whoami", "--user", "nobody", "--group", str(user.pw_gid), *options)
    with dial(server) as peer:
        worker = int(peer.get().body)
    assert status(worker, "Uid") == [str(user.pw_uid)] * 4
    assert status(worker, "Gid") == [str(user.pw_gid)] * 4
    expected = os.getgrouplist("nobody", user.pw_gid) if all_groups else [user.pw_gid]
    assert sorted(status(worker, "Groups")) == sorted(str(group) for group in expected)
    assert status(server.pid, "Uid") == ["0"] * 4


@AS_ROOT
def test_unix_socket_belongs_to_the_workers_user(serve, dial, tmp_path):
    user = pwd.getpwnam("nobody")
    path = tmp_path / "app.sock"
    options = ["--user", "nobody", "--group", str(user.pw_gid), "--umask", "0o007"]
    server = serve("hello", *options, bind=f"unix:{path}")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (user.pw_uid, user.pw_gid)
    assert stat.S_IMODE(found.st_mode) == 0o770
    with dial(server) as peer:
        assert peer.get().status == 200


def test_a_user_that_is_not_there_stops_the_start(oxicorn):
    done = oxicorn("-b", "127.0.0.1:0", "--user", "no-such-user", "apps.hello:app")
    assert done.returncode == 1
    assert "no-such-user" in done.stderr


def test_titles_with_setproctitle(serve):
    pytest.importorskip("setproctitle")
    server = serve("whoami", "--name", "shop")

    def title(pid):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()

    worker = the_worker(server)
    eventually(lambda: title(worker) == "oxicorn: worker [shop]")
    assert title(server.pid) == "oxicorn: master [shop]"


def test_titles_without_setproctitle(serve, tmp_path):
    (tmp_path / "setproctitle.py").write_text("raise ImportError('not here')\n")
    server = serve("whoami", "--name", "a-long-name-of-a-shop", env={"PYTHONPATH": path(tmp_path)})
    worker = the_worker(server)
    eventually(lambda: status(worker, "Name") == ["a-long-name-of-"])
    assert status(server.pid, "Name") == ["a-long-name-of-"]


def test_workers_are_named_even_so(serve, tmp_path):
    (tmp_path / "setproctitle.py").write_text("raise ImportError('not here')\n")
    server = serve("whoami", env={"PYTHONPATH": path(tmp_path)})
    worker = the_worker(server)
    eventually(lambda: status(worker, "Name") == ["oxicorn-worker"])


def path(first):
    """A module path that finds what is in `first` before all else."""
    return os.pathsep.join([str(first), str(Path(__file__).resolve().parent.parent)])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("options", [(), ("--umask", "0")])
def test_files_of_the_application_follow_the_umask_of_the_start(serve, options):
    """The setting is for sockets: with its default, they would be open to everybody."""
    mine = status("self", "Umask")
    assert mine != ["0000"]
    server = serve("whoami", *options)
    assert status(the_worker(server), "Umask") == mine
    assert status(server.pid, "Umask") == mine
