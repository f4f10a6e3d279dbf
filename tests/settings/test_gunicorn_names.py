"""Settings files that import gunicorn, where it is installed and where it is not."""

from __future__ import annotations

import copy

import pytest

from oxicorn.logger import CONFIG_DEFAULTS

SETTINGS = """
import gunicorn
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.sync import SyncWorker
from gunicorn.glogging import SYSLOG_FACILITIES
from gunicorn.util import http_date, import_app
from gunicorn.workers import SUPPORTED_WORKERS

assert SYSLOG_FACILITIES['local3'] and SUPPORTED_WORKERS['sync'].endswith('SyncWorker')
assert http_date(0) == 'Thu, 01 Jan 1970 00:00:00 GMT'
assert callable(import_app('apps.hello:app'))

class Quiet(Logger):
    def access(self, resp, req, environ, request_time):
        pass

def on_starting(server: Arbiter) -> None:
    server.log.info('gunicorn is %s', gunicorn.__version__)

def pre_request(worker: Worker, req: Request) -> None:
    worker.log.info('asked for %s', req.path)
"""


def test_without_gunicorn(serve, dial, without_gunicorn, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(SETTINGS)
    server = serve("hello", cwd=tmp_path, env=without_gunicorn)
    with dial(server) as peer:
        assert peer.get("/there").status == 200
    assert "gunicorn is 27.0.1" in server.log()
    assert "asked for /there" in server.log()
    assert "Warning" not in server.log()


def test_with_gunicorn(serve, dial, tmp_path):
    gunicorn = pytest.importorskip("gunicorn")
    (tmp_path / "gunicorn.conf.py").write_text(SETTINGS)
    server = serve("hello", cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get("/there").status == 200
    assert f"gunicorn is {gunicorn.__version__}" in server.log()
    assert "asked for /there" in server.log()


def test_what_is_not_there_is_told(oxicorn, without_gunicorn, tmp_path):
    (tmp_path / "settings.py").write_text("import gunicorn.app.wsgiapp\n")
    done = oxicorn("-c", str(tmp_path / "settings.py"), "apps.hello:app", env=without_gunicorn)
    assert done.returncode == 1
    assert "No module named 'gunicorn.app'" in done.stderr


@pytest.mark.parametrize("is_there", [True, False])
def test_a_server_header_set_there_is_warned_about(oxicorn, without_gunicorn, tmp_path, is_there):
    (tmp_path / "settings.py").write_text("import gunicorn\ngunicorn.SERVER = 'none'\n")
    options = ["--check-config", "-c", str(tmp_path / "settings.py")]
    done = oxicorn(*options, "apps.hello:app", env={} if is_there else without_gunicorn)
    assert done.returncode == 0
    assert "gunicorn.SERVER was set and has no effect; see server_header" in done.stderr


def test_the_application_finds_none(oxicorn, without_gunicorn, tmp_path):
    (tmp_path / "settings.py").write_text("")
    (tmp_path / "asks.py").write_text(
        "try:\n    import gunicorn\nexcept ImportError:\n    from apps.hello import app\n"
    )
    options = ["--check-config", "-c", str(tmp_path / "settings.py")]
    done = oxicorn(*options, "asks:app", env=without_gunicorn, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


NAMES = """
import json
from gunicorn.config import Config
from gunicorn.errors import AppImportError, ConfigError, HaltServer
from gunicorn.glogging import CONFIG_DEFAULTS
from gunicorn.http.wsgi import Response
from gunicorn.instrument.statsd import Statsd
from gunicorn.workers.gthread import ThreadWorker

logconfig_dict = CONFIG_DEFAULTS
logconfig_dict['formatters']['generic']['format'] = 'mine %(message)s'
assert HaltServer('so', 3).exit_status == 3
assert Config().workers == 1
"""


@pytest.mark.parametrize("is_there", [True, False])
def test_what_else_settings_files_import(serve, without_gunicorn, tmp_path, is_there):
    (tmp_path / "gunicorn.conf.py").write_text(NAMES)
    place = f"unix:{tmp_path}/http.sock"
    env = {} if is_there else without_gunicorn
    server = serve("hello", bind=place, announced=False, cwd=tmp_path, env=env)
    assert "mine Starting oxicorn" in server.log()


def test_the_defaults_of_logging_are_those_of_gunicorn():
    theirs = pytest.importorskip("gunicorn.glogging").CONFIG_DEFAULTS
    ours = copy.deepcopy(CONFIG_DEFAULTS)
    for name in ours["loggers"]:
        ours["loggers"][name]["qualname"] = name
    assert ours == theirs
