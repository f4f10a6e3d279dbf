"""The hooks of one settings file under gunicorn and here: which process calls them, in which order,
and what they find. What differs is listed in `listed`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support import eventually
from support.program import Program

SETTINGS = """
import json, os

def note(name, **what):
    with open('notes', 'a') as file:
        file.write(json.dumps([name, os.getpid(), what]) + '\\n')

def server_of(server):
    return {
        'pid': server.pid == os.getpid(),
        'workers': server.cfg.workers,
        'num_workers': server.num_workers,
        'WORKERS': len(server.WORKERS),
        'LISTENERS': len(server.LISTENERS),
        'timeout': server.timeout,
        'title': server.proc_name,
        'log': callable(server.log.info),
    }

def worker_of(worker):
    return {
        'pid': worker.pid if isinstance(worker.pid, str) else worker.pid == os.getpid(),
        'ppid': worker.ppid in (os.getpid(), os.getppid()),
        'age': worker.age,
        'alive': worker.alive,
        'aborted': worker.aborted,
        'booted': worker.booted,
        'nr': worker.nr,
        'sockets': len(worker.sockets),
        'timeout': bool(worker.timeout),
        'app': callable(worker.app.wsgi),
        'cfg': worker.cfg.workers,
        'log': callable(worker.log.info),
    }

def nworkers_changed(server, new_value, old_value):
    note('nworkers_changed', new=new_value, old=old_value)

def on_starting(server):
    note('on_starting', **server_of(server))

def when_ready(server):
    note('when_ready', **server_of(server))

def pre_fork(server, worker):
    note('pre_fork', server=server_of(server), worker=worker_of(worker))

def post_fork(server, worker):
    note('post_fork', worker=worker_of(worker), loaded=worker.app.callable is not None)

def post_worker_init(worker):
    note('post_worker_init', worker=worker_of(worker), wsgi=callable(worker.wsgi))

def pre_request(worker, req):
    note('pre_request', method=req.method, path=req.path, uri=req.uri, query=req.query,
        fragment=req.fragment, version=req.version, scheme=req.scheme, nr=worker.nr,
        headers=[[name, value] for name, value in req.headers if name != 'HOST'],
        peer=req.peer_addr[0], remote=req.remote_addr[0])

def post_request(worker, req, environ, resp):
    note('post_request', status=resp.status, code=resp.status_code, sent=resp.sent, nr=worker.nr,
        headers=[list(each) for each in resp.headers], path=environ['PATH_INFO'],
        same=req.path, sent_head=resp.headers_sent)

def worker_int(worker):
    note('worker_int', worker=worker_of(worker))

def worker_exit(server, worker):
    note('worker_exit', worker=worker_of(worker))

def child_exit(server, worker):
    note('child_exit', age=worker.age, pid=type(worker.pid).__name__, left=len(server.WORKERS))

def on_reload(server):
    note('on_reload', **server_of(server))

def on_exit(server):
    note('on_exit', **server_of(server))
"""

APP = """
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '9')])
    return [b'hello', b' you']
"""


class Noted:
    """A server whose hooks take notes."""

    def __init__(self, module: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "settings.py").write_text(SETTINGS)
        (folder / "shop.py").write_text(APP)
        args = [sys.executable, "-m", module, "-c", "settings.py", "-b", "127.0.0.1:0", "shop:app"]
        self.program = Program(args, folder)
        self._file = folder / "notes"

    def notes(self) -> list[tuple[str, int, dict[str, Any]]]:
        if not self._file.exists():
            return []
        return [tuple(json.loads(line)) for line in self._file.read_text().splitlines()]

    def wait_for(self, **counts: int) -> None:
        """Waits until these hooks were called so often."""

        def are_there() -> bool:
            assert self.program.process.poll() is None, self.program.log()
            names = [name for name, _, _ in self.notes()]
            return all(names.count(name) >= count for name, count in counts.items())

        eventually(are_there, within=90)

    def by_process(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """The notes of the master, and of each worker by its age."""
        ages = {
            pid: f"worker {what['worker']['age']}"
            for name, pid, what in self.notes()
            if name == "post_fork"
        }
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for name, pid, what in self.notes():
            found.setdefault(ages.get(pid, "master"), []).append((name, what))
        return found


def drive(module: str, folder: Path, last: signal.Signals) -> dict[str, Any]:
    """A life with all that hooks are called for."""
    server = Noted(module, folder)
    program = server.program
    try:
        server.wait_for(post_worker_init=1)
        assert program.fetch() == b"hello you"
        server.wait_for(post_request=1)
        program.signal(signal.SIGTTIN)
        server.wait_for(post_worker_init=2)
        program.signal(signal.SIGTTOU)
        server.wait_for(child_exit=1)
        program.signal(signal.SIGHUP)
        server.wait_for(post_worker_init=3, child_exit=2)
        newest = [pid for name, pid, _ in server.notes() if name == "post_worker_init"][-1]
        os.kill(newest, signal.SIGKILL)
        server.wait_for(post_worker_init=4, child_exit=3)
        # Workers accept, and so hear signals, only after the hook.
        assert program.fetch() == b"hello you"
        server.wait_for(post_request=2)
        assert program.ends(last) == 0
        return server.by_process()
    finally:
        program.end()


def listed(notes: dict[str, Any]) -> dict[str, Any]:
    """The notes without what differs on purpose."""
    master = notes["master"]
    place = [name for name, _ in master].index("on_reload")
    # Here a reload that on_reload refuses has told nobody of new workers before.
    if master[place - 1][0] == "nworkers_changed":
        master[place - 1], master[place] = master[place], master[place - 1]
    for name, what in [each for process in notes.values() for each in process]:
        # A request counts from its beginning here, in gunicorn after pre_request.
        what.pop("nr", None)
        what.get("worker", {}).pop("nr", None)
        if name == "worker_exit":
            what["worker"].pop("booted")
    return notes


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT], ids=lambda last: last.name)
def test_the_same_hooks_in_the_same_order(tmp_path, last):
    theirs = listed(drive("gunicorn", tmp_path / "gunicorn", last))
    ours = listed(drive("oxicorn", tmp_path / "oxicorn", last))
    assert ours.keys() == theirs.keys() == {"master", *(f"worker {age}" for age in (1, 2, 3, 4))}
    for process, notes in theirs.items():
        assert [name for name, _ in ours[process]] == [name for name, _ in notes], process
        for our, their in zip(ours[process], notes, strict=True):
            assert our == their, process
