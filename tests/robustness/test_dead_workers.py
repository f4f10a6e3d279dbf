"""A worker that dies: what it was doing is told, its clients know at once, and service goes on."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import eventually
from support.server import TESTS

LINE = r"\[{level}\] In worker \(pid:{pid}\) for \d+\.\d+ s: GET {path} client=127\.0\.0\.1"


def ask(dial, server, path):
    peer = dial(server)
    peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return peer


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("crash", "was sent SIGSEGV!"),
        ("kill", "was sent SIGKILL! Perhaps out of memory? (The master did not send it.)"),
        ("exit", "exited with code 7."),
    ],
)
def test_requests_of_a_worker_that_died_are_told(serve, dial, tmp_path, how, said):
    env = {"MORTAL": str(tmp_path)}
    server = serve("mortal", "--threads", "2", workers=1, env=env)
    pid = int(dial(server).get().body)
    waiting = ask(dial, server, "/wait")
    eventually((tmp_path / "waiting").exists)
    dying = ask(dial, server, f"/{how}")
    assert waiting.closed_by_server()
    assert dying.closed_by_server()
    eventually(lambda: f"Worker (pid:{pid}) {said}" in server.log())
    eventually(lambda: re.search(LINE.format(level="ERROR", pid=pid, path="/wait"), server.log()))
    assert re.search(LINE.format(level="ERROR", pid=pid, path=f"/{how}"), server.log())
    (tmp_path / "end").touch()
    assert int(dial(server).get().body) != pid


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_stacks_of_a_crash_are_one_message(serve, dial, tmp_path, form):
    """However many workers crash and log at the same time."""
    env = {"MORTAL": str(tmp_path)}
    server = serve("mortal", "--log-format", form, workers=3, env=env)
    for _ in range(3):
        dying = [ask(dial, server, "/crash") for _ in range(3)]
        for peer in dying:
            assert peer.closed_by_server()
    crashes = "was sent SIGSEGV!"
    eventually(lambda: server.log().count(crashes) >= 3 and len(server.workers()) == 3)
    if form == "json":
        lines = [json.loads(line)["message"] for line in server.log().splitlines()]
    else:
        lines = re.split(r"^\[2[^\]]*\] \[\d+\] \[[A-Z]+\] ", server.log(), flags=re.MULTILINE)
    stacks = [line for line in lines if line.startswith("Stacks of worker (pid:")]
    assert len(stacks) == server.log().count(crashes)
    whole = (
        r"\(pid:\d+\):\nFatal Python error: Segmentation fault\n\n.*mortal\.py\", line \d+ in app"
    )
    assert all(re.search(whole, text, re.DOTALL) for text in stacks)
    assert dial(server).get().status == 200


def test_requests_that_a_stop_cuts_are_told(serve, dial, tmp_path):
    server = serve("mortal", "--graceful-timeout", "1", workers=1, env={"MORTAL": str(tmp_path)})
    ask(dial, server, "/wait")
    eventually((tmp_path / "waiting").exists)
    assert server.stop() == 0
    assert re.search(LINE.format(level="WARNING", pid=r"\d+", path="/wait"), server.log())


def test_an_idle_worker_that_dies_was_doing_nothing(serve, dial, tmp_path):
    server = serve("mortal", workers=1, env={"MORTAL": str(tmp_path)})
    pid = int(dial(server).get().body)
    # The client has its answer a moment before the request is over for the worker.
    eventually(lambda: "GET / " in server.access_log())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: f"Worker (pid:{pid}) was sent SIGKILL!" in server.log())
    eventually(lambda: server.workers() not in ([], [pid]))
    assert "In worker" not in server.log()


def test_death_at_any_instant_leaves_a_readable_record(serve, dial, tmp_path):
    """Killed again and again under load: the master reports whole lines and never stumbles."""
    server = serve("mortal", workers=2, env={"MORTAL": str(tmp_path)})
    # A first start of which no worker serves yet would end with one that dies.
    assert dial(server).get().status == 200
    for _ in range(6):
        victims = eventually(lambda: len(server.workers()) == 2 and server.workers())
        peers = [ask(dial, server, "/") for _ in range(20)]
        os.kill(victims[0], signal.SIGKILL)
        for peer in peers:
            peer.socket.close()
        eventually(lambda victim=victims[0]: victim not in server.workers())
    eventually(lambda: len(server.workers()) == 2)
    told = [line for line in server.log().splitlines() if "In worker" in line]
    assert all(re.search(LINE.format(level="ERROR", pid=r"\d+", path="/"), line) for line in told)
    assert dial(server).get().status == 200


@pytest.fixture
def memory_group():
    """A control group of 80 MiB, if this machine lets us make one."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if "memory" in controllers.split(","):
            parent, limits = Path("/sys/fs/cgroup/memory"), ["memory.limit_in_bytes"]
        elif controllers == "":
            parent, limits = Path("/sys/fs/cgroup"), ["memory.max", "memory.swap.max"]
        else:
            continue
        group = parent / own.strip("/") / f"oxicorn-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limits[0]).write_text(str(80 << 20))
            for swap in limits[1:]:
                (group / swap).write_text("0")
        except OSError:
            group.rmdir()
            continue
        yield group
        eventually(lambda group=group: not (group / "cgroup.procs").read_text())
        group.rmdir()
        return
    pytest.skip("this test needs a memory control group that it may write to")


def test_the_kernels_killer_is_named(memory_group, tmp_path):
    """The server starts inside the group, so its own account has the kill."""
    log = tmp_path / "log"
    server = [sys.executable, "-m", "oxicorn", "-w", "1", "-b", f"unix:{tmp_path}/socket"]
    server += ["--error-logfile", str(log), "apps.mortal:app"]
    enter = f"echo $$ > {shlex.quote(str(memory_group / 'cgroup.procs'))}"
    env = {**os.environ, "MORTAL": str(tmp_path), "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(
        ["sh", "-c", f"{enter} && exec {shlex.join(server)}"], env=env, cwd=tmp_path
    )
    try:
        eventually(lambda: log.exists() and "Booting worker" in log.read_text())
        curl = ["curl", "-s", "--unix-socket", tmp_path / "socket", "http://a/eat"]
        eventually((tmp_path / "socket").exists)
        subprocess.run(curl, timeout=120, check=False)
        eventually(lambda: "By the kernel, as there was no memory left" in log.read_text())
        assert "GET /eat" in log.read_text()
    finally:
        process.terminate()
        process.wait(60)
