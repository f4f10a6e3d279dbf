"""HUP with settings that cannot be: everything goes on as it was, and the old logs say why."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import Peer, eventually
from support.program import Program

SOUND = """
import os
errorlog = 'old.log'
accesslog = 'old.access'
raw_env = ['WORD=old']
"""

MOVED = SOUND.replace("old", "new")

# Each with what the log says of it.
WRONG = {
    "a bad value": (MOVED + "workers = 'many'\n", "workers: expected"),
    "a mistake in the file": (MOVED + "1 / 0\n", "ZeroDivisionError"),
    "an address of nobody": (MOVED + "bind = '203.0.113.1:80'\n", "203.0.113.1"),
    "a log that cannot be": (MOVED + "accesslog = 'nowhere/access'\n", "accesslog: cannot open"),
    "a logger that cannot be": (
        MOVED + "logconfig_dict = {'version': 1, 'handlers': {'a': {'class': 'nothing'}}}\n",
        "logconfig_dict",
    ),
    "a hook that refuses": (
        MOVED + "def on_reload(server):\n    raise RuntimeError('not today')\n",
        "not today",
    ),
    "a directory that is not there": (MOVED + "chdir = 'nowhere'\n", "chdir: cannot change"),
    "a hook that refuses elsewhere": (
        MOVED + "chdir = 'other'\ndef on_reload(server):\n    raise RuntimeError('no')\n",
        "RuntimeError: no",
    ),
    "a captured output": (
        MOVED + "capture_output = True\ndef on_reload(server):\n    raise RuntimeError('no')\n",
        "RuntimeError: no",
    ),
}

APP = """
import os, sys

def app(environ, start_response):
    sys.stderr.write('printed\\n')
    page = os.environ.get('WORD', 'none').encode() + b' ' + os.getcwd().encode()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


class Site(Program):
    """A server with all its settings in a file, which changes."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder = folder
        (folder / "shop.py").write_text(APP)
        (folder / "other").mkdir()
        self._bind = f"bind = 'unix:{folder}/http.sock'\n"
        self._settings = folder / "gunicorn.conf.py"
        self._settings.write_text(self._bind + settings)
        super().__init__([sys.executable, "-m", "oxicorn", "shop:app"], folder)
        eventually(self._listens, within=60)
        self.page()  # a worker that is still booting leaves without a word

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log() + self.said()
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(f"{self.folder}/http.sock") == 0

    def page(self, path: str = "/") -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(f"{self.folder}/http.sock")
            return str(Peer(connection).get(path).body.decode())

    def said(self, name: str = "old.log") -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def workers(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

    def reload(self, settings: str, until: str, log: str = "old.log") -> None:
        before = self.said(log).count(until)
        self._settings.write_text(self._bind + settings)
        self.signal(signal.SIGHUP)
        eventually(lambda: self.said(log).count(until) > before)

    def kill_worker(self) -> None:
        first = self.workers()
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda: self.workers() not in ([], first))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """Starts one with these settings."""
    started = []

    def start(settings: str) -> Site:
        started.append(Site(tmp_path, settings))
        return started[-1]

    yield start
    for site in started:
        site.end()


@pytest.mark.parametrize("what", WRONG)
def test_logs_and_surroundings_stay(start, what):
    settings, reason = WRONG[what]
    site = start(SOUND)
    assert site.page() == f"old {site.folder}"
    site.reload(settings, "Reload failed")
    assert reason in site.said()
    # The master's own voice, and a worker that takes the place of a dead one.
    site.kill_worker()
    assert site.page("/after") == f"old {site.folder}"
    assert "was sent SIGKILL" in site.said()
    assert site.said().count("Booting worker") == 2
    eventually(lambda: "GET /after" in site.said("old.access"))
    assert site.said("new.log") == site.said("new.access") == ""
    assert "printed" in site.log()
    # And the next one is as any other.
    site.reload(SOUND + "workers = 2\n", "Handling signal: hup")
    eventually(lambda: site.said().count("Booting worker") == 4)


def test_workers_that_cannot_boot_leave_the_old_logs(start):
    site = start(SOUND)
    broken = "chdir = 'other'\ndef post_fork(server, worker):\n    raise OSError('lost')\n"
    site.reload(MOVED + broken, "Reload failed: Worker failed to boot.")
    assert "lost" in site.said("other/new.log"), "new workers log where their settings say"
    eventually(lambda: len(site.workers()) == 1)
    site.kill_worker()
    assert site.page() == f"old {site.folder}"
    assert "was sent SIGKILL" in site.said()
    assert "was sent SIGKILL" not in site.said("other/new.log")


def test_variables_that_settings_no_longer_set(start):
    site = start(SOUND)
    assert site.page().startswith("old ")
    site.reload(SOUND.replace("raw_env", "_"), "Worker exiting")
    eventually(lambda: site.page().startswith("none "))


def test_output_goes_its_own_way_again(start):
    """What was captured is not, once the settings no longer ask for it."""
    site = start(SOUND + "capture_output = True\n")
    site.page()
    assert "printed" in site.said()
    assert site.log() == ""
    site.reload(MOVED, "Worker exiting")
    eventually(lambda: site.page().startswith("new "))
    eventually(lambda: "printed" in site.log())


LOGGERS = """
errorlog = 'old.log'
accesslog = 'old.access'
logconfig_dict = {
    'version': 1,
    'handlers': {
        'own': {'class': 'logging.FileHandler', 'filename': 'own.log'},
        'rotating': {
            'class': 'logging.handlers.RotatingFileHandler',
            'filename': 'rotating.log', 'maxBytes': 10000, 'backupCount': 1,
        },
    },
    'root': {'handlers': ['own'], 'level': 'INFO'},
    'loggers': {
        'gunicorn.error': {'handlers': ['own', 'rotating'], 'level': 'INFO', 'propagate': False},
        'gunicorn.access': {'handlers': ['own'], 'level': 'INFO', 'propagate': False},
    },
}
"""

CLASS = """
import logging
from gunicorn.glogging import Logger

class Own(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addHandler(logging.FileHandler('own.log'))

errorlog = 'old.log'
logger_class = Own
"""

COLLECTORS = """
errorlog = 'old.log'
syslog = True
syslog_addr = 'udp://127.0.0.1:9'
statsd_host = '127.0.0.1:9'
"""

LEAKS = {
    "plain": "errorlog = 'old.log'\naccesslog = 'old.access'\ncapture_output = True\n",
    "logconfig_dict": LOGGERS,
    "logger_class": CLASS,
    "syslog and statsd": COLLECTORS,
}
REFUSING = """
def on_reload(server):
    server.log.info('refusing')
    raise RuntimeError('no')
"""


def descriptors(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(each).partition(":[")[0] for each in folder.iterdir())


@pytest.mark.parametrize("ends", ["well", "refused"])
@pytest.mark.parametrize("what", LEAKS)
def test_reloads_leave_no_descriptor_behind(start, what, ends):
    """Neither those that succeed nor those that do not."""
    settings = LEAKS[what] + (REFUSING if ends == "refused" else "")
    log = "own.log" if "own.log" in settings else "old.log"
    site = start(settings)
    done = "Reload failed" if ends == "refused" else "Worker exiting"

    def settled() -> list[str]:
        eventually(lambda: len(site.workers()) == 1)
        site.page()
        return descriptors(site.process.pid)

    for _ in range(2):
        site.reload(settings, done, log)
    before = settled()
    for _ in range(6):
        site.reload(settings, done, log)
    eventually(lambda: settled() == before)


def test_a_daemon_warns_in_its_log(oxicorn, tmp_path):
    settings, log, pidfile = (tmp_path / name for name in ("settings.py", "log", "pid"))
    settings.write_text("")
    files = ["--error-logfile", str(log), "--pid", str(pidfile), "-c", str(settings)]
    done = oxicorn("-D", "-b", f"unix:{tmp_path}/a.sock", *files, "apps.hello:app")
    assert done.returncode == 0, done.stderr
    eventually(lambda: log.exists() and "Booting worker" in log.read_text())
    pid = int(pidfile.read_text())
    try:
        settings.write_text("wrokers = 2\nworker_tmp_dir = '/tmp'\n")
        os.kill(pid, signal.SIGHUP)
        eventually(lambda: "Worker exiting" in log.read_text())
        text = log.read_text()
        assert "[WARNING] unknown setting `wrokers`" in text
        assert "[WARNING] worker_tmp_dir: has no effect" in text
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pidfile.exists())
