"""The hooks of unusual moments: who runs them, and when."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from support import eventually
from support.server import command, environment

NOTE = """
import os

def note(name):
    with open('hooks.txt', 'a') as file:
        file.write(f'{name} {os.getpid()}\\n')

def worker_int(worker):
    note('worker_int')

def worker_abort(worker):
    note('worker_abort')

def worker_exit(server, worker):
    note('worker_exit')

def on_reload(server):
    note('on_reload')

def pre_fork(server, worker):
    note('pre_fork')

def nworkers_changed(server, new_value, old_value):
    note(f'nworkers_changed:{old_value}:{new_value}')
"""


@pytest.fixture
def hooked(serve, tmp_path):
    def start(*options, app="whoami"):
        (tmp_path / "settings.py").write_text(NOTE)
        return serve(app, "-c", "settings.py", *options, cwd=tmp_path)

    return start


@pytest.fixture
def notes(tmp_path):
    return lambda: [
        tuple(line.split()) for line in (tmp_path / "hooks.txt").read_text().splitlines()
    ]


def pid_of(server, dial):
    with dial(server) as peer:
        return peer.get().body.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_worker_int_at_a_quick_stop(hooked, dial, notes, number):
    server = hooked()
    worker = pid_of(server, dial)
    server.signal(number)
    assert server.wait() == 0
    assert notes()[-2:] == [("worker_int", worker), ("worker_exit", worker)]


def test_no_worker_int_at_a_graceful_stop(hooked, dial, notes):
    server = hooked()
    worker = pid_of(server, dial)
    assert server.stop() == 0
    assert notes()[-1] == ("worker_exit", worker)
    assert "worker_int" not in {name for name, _ in notes()}


def test_worker_abort_after_a_timeout(hooked, dial, notes):
    server = hooked("--timeout", "1", app="sleepy")
    eventually(lambda: server.workers())
    worker = str(server.workers()[0])
    with dial(server) as peer:
        peer.send(b"GET /45000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.closed_by_server()
    eventually(lambda: ("worker_abort", worker) in notes())


def test_on_reload_comes_before_the_new_workers(hooked, dial, notes):
    server = hooked()
    first = pid_of(server, dial)
    server.signal(signal.SIGHUP)
    eventually(lambda: pid_of(server, dial) != first)
    master = str(server.pid)
    names = [name for name, pid in notes() if pid == master]
    assert names == [
        "nworkers_changed:None:1",
        "pre_fork",
        "on_reload",
        "nworkers_changed:1:1",
        "pre_fork",
    ]


def test_a_hook_that_fails_in_a_new_worker_stops_the_start(oxicorn, tmp_path):
    (tmp_path / "settings.py").write_text(
        "def post_fork(server, worker):\n    raise RuntimeError('no good')\n"
    )
    done = oxicorn("-b", "127.0.0.1:0", "-c", str(tmp_path / "settings.py"), "apps.hello:app")
    assert done.returncode == 3
    assert "RuntimeError: no good" in done.stderr


def test_a_failing_child_exit_is_only_logged(serve, dial, tmp_path):
    (tmp_path / "settings.py").write_text(
        "def child_exit(server, worker):\n    raise RuntimeError('no matter')\n"
    )
    server = serve("whoami", "-c", str(tmp_path / "settings.py"))
    first = pid_of(server, dial)
    os.kill(int(first), signal.SIGKILL)
    eventually(lambda: "RuntimeError: no matter" in server.log())
    assert pid_of(server, dial) != first


def test_abort_shows_the_stacks(hooked, dial, notes):
    server = hooked()
    worker = int(pid_of(server, dial))
    os.kill(worker, signal.SIGABRT)
    eventually(lambda: ("worker_abort", str(worker)) in notes())
    eventually(lambda: f"Worker (pid:{worker}) exited with code 1." in server.log())
    eventually(lambda: "Fatal Python error: Aborted" in server.log())


HALTING = """
import os, sys
from gunicorn.errors import HaltServer

def {hook}(server, *args):
    {how}
"""
HOWS = {"raise HaltServer('no more', 7)": 7, "sys.exit('no more')": 1, "sys.exit(7)": 7}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("hook", ["on_starting", "when_ready", "pre_fork", "child_exit"])
def test_a_hook_can_end_the_server(serve, tmp_path, hook, how, without_gunicorn):
    """Orderly, and with the exit code that it names."""
    settings = tmp_path / "settings.py"
    settings.write_text(HALTING.format(hook=hook, how=how))
    files = ["--pid", str(tmp_path / "pid"), "-c", str(settings)]
    bind = f"unix:{tmp_path}/http.sock"
    if hook == "child_exit":
        server = serve("whoami", *files, bind=bind, exit_status=HOWS[how], env=without_gunicorn)
        os.kill(server.workers()[0], signal.SIGKILL)
        assert server.wait() == HOWS[how]
        assert ("Reason: no more" in server.log()) is ("no more" in how)
        assert "Traceback" not in server.log()
    else:
        done = subprocess.run(
            [*command(), *files, "-b", bind, "apps.hello:app"],
            env=environment(without_gunicorn),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == HOWS[how], done.stderr
        assert ("Reason: no more" in done.stderr) is ("no more" in how)
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "http.sock").exists()


KILLING = """
import signal

def when_ready(server):
    server.kill_worker(1, signal.SIGTERM)

def on_reload(server):
    (pid,) = server.WORKERS
    server.kill_worker(pid, signal.SIGKILL)
    server.kill_workers(signal.SIGKILL)
"""


def test_a_hook_sends_signals_to_workers(serve, tmp_path):
    (tmp_path / "settings.py").write_text(KILLING)
    server = serve("whoami", "-c", "settings.py", cwd=tmp_path)
    eventually(lambda: len(server.workers()) == 1)
    server.signal(signal.SIGHUP)
    eventually(lambda: "was sent SIGKILL" in server.log())
    assert "Hang up: Master" in server.log()


PATIENT = """
import builtins

def post_fork(server, worker):
    builtins.this_worker = worker
"""

LONG = """
import time

def app(environ, start_response):
    before = this_worker.tmp.last_update()
    for _ in range(20):
        time.sleep(0.3)
        this_worker.notify()
    assert this_worker.tmp.last_update() > before > 0
    start_response('200 OK', [('Content-Length', '4')])
    return [b'done']
"""


def test_a_request_that_says_it_is_alive_may_take_long(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(PATIENT)
    (tmp_path / "long.py").write_text(LONG)
    server = serve("long:app", "--timeout", "2", cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().body == b"done"
    assert "WORKER TIMEOUT" not in server.log()
