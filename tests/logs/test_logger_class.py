"""logger_class: loggers of the operator's own, written for gunicorn, where it is and is not."""

from __future__ import annotations

import json
import signal

import pytest

from support import eventually

# What people have: formats of their own, atoms of their own, and no lines for health checks.
RECIPE = """
from gunicorn.glogging import Logger

class Quiet(Logger):
    error_fmt = 'oops [%(levelname)s] %(message)s'

    def access(self, resp, req, environ, request_time):
        if environ['PATH_INFO'] != '/health':
            super().access(resp, req, environ, request_time)

    def atoms(self, resp, req, environ, request_time):
        found = super().atoms(resp, req, environ, request_time)
        found['who'] = environ.get('HTTP_X_WHO', 'nobody')
        return found
"""
SETTINGS = """
logger_class = Quiet
access_log_format = '%(who)s %(m)s %(U)s %(s)s %({content-type}o)s %(b)s %({x-who}i)s'
"""
BROKEN = "def app(environ, start_response):\n    1 / 0\n"


def test_a_class_in_the_settings_file(serve, dial, either_way, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(RECIPE + SETTINGS)
    server = serve("hello", cwd=tmp_path, env=either_way)
    peer = dial(server)
    assert peer.get("/health").status == 200
    assert peer.get("/there", "X-Who: me").status == 200
    assert eventually(server.access_log) == "me GET /there 200 text/plain 6 me\n"
    assert "oops [INFO] Listening at: " in server.log()
    assert "oops [INFO] Booting worker with pid: " in server.log()
    assert server.stop() == 0
    assert "oops [INFO] Worker exiting (pid: " in server.log()
    assert all(line.startswith("oops [") for line in server.log().splitlines())


def test_a_class_by_name_on_the_command_line(serve, dial, either_way, tmp_path):
    (tmp_path / "own.py").write_text(RECIPE)
    options = ["--logger-class", "own.Quiet", "--access-logformat", "%(who)s %(U)s"]
    server = serve("hello", *options, cwd=tmp_path, env=either_way)
    assert dial(server).get("/there").status == 200
    assert eventually(server.access_log) == "nobody /there\n"


def test_errors_of_the_application_come_with_their_exception(serve, dial, either_way, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "own.py").write_text(
        "from gunicorn.glogging import Logger\n"
        "class Own(Logger):\n"
        "    def exception(self, msg, *args, **kwargs):\n"
        "        self.error('%s because of %r', msg % args, kwargs['exc_info'])\n"
    )
    server = serve("broken:app", "--logger-class", "own.Own", cwd=tmp_path, env=either_way)
    assert dial(server).get("/there").status == 500
    expected = "[ERROR] Error handling request GET /there because of ZeroDivisionError("
    eventually(lambda: expected in server.log())


def test_refused_requests_reach_both_methods(serve, dial, either_way, tmp_path):
    (tmp_path / "own.py").write_text(
        "from gunicorn.glogging import Logger\n"
        "class Own(Logger):\n"
        "    def access(self, resp, req, environ, request_time):\n"
        "        self.info('%s for %s', resp.status, environ['REMOTE_ADDR'])\n"
    )
    options = ["--logger-class", "own.Own", "--limit-request-body", "10"]
    server = serve("hello", *options, cwd=tmp_path, env=either_way)
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    with dial(server) as peer:
        peer.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
        assert peer.response().status == 413
    eventually(lambda: "[INFO] 400 Bad Request for 127.0.0.1" in server.log())
    eventually(lambda: "[INFO] 413 " in server.log())
    assert "[WARNING] Invalid request from ip=127.0.0.1: " in server.log()


def test_every_call_of_gunicorn_is_made(serve, dial, tmp_path):
    """A class that is no subclass has what it needs, in the process where gunicorn calls it."""
    (tmp_path / "own.py").write_text(
        "import os, sys\n"
        "class Own:\n"
        "    def __init__(self, cfg):\n"
        "        self._say('made', cfg.errorlog, cfg.proc_name)\n"
        "    def _say(self, *words):\n"
        "        print(*words, file=sys.stderr, flush=True)\n"
        "    def info(self, msg, *args, **kwargs):\n"
        "        self._say('info', msg % args)\n"
        "    debug = warning = error = critical = exception = info\n"
        "    def log(self, lvl, msg, *args, **kwargs):\n"
        "        self.info(msg, *args)\n"
        "    def access(self, resp, req, environ, request_time):\n"
        "        self._say('access', resp.status_code, req.path, request_time.seconds)\n"
        "    def reopen_files(self):\n"
        "        self._say('reopen', os.getpid())\n"
        "    def close_on_exec(self):\n"
        "        self._say('close_on_exec', os.getpid())\n"
    )
    server = serve("hello", "--logger-class", "own.Own", cwd=tmp_path)
    assert dial(server).get("/there").status == 200
    eventually(lambda: "access 200 /there 0\n" in server.log())
    (worker,) = server.workers()
    assert server.log().startswith("made - apps.hello:app\n")
    assert f"close_on_exec {worker}\n" in server.log()
    server.signal(signal.SIGUSR1)
    eventually(lambda: f"reopen {server.pid}\n" in server.log())
    eventually(lambda: f"reopen {worker}\n" in server.log())
    assert "info Handling signal: usr1\n" in server.log()


def test_a_logger_that_fails_costs_lines_but_no_request(serve, dial, tmp_path):
    (tmp_path / "own.py").write_text(
        "from gunicorn.glogging import Logger\n"
        "class Own(Logger):\n"
        "    def access(self, resp, req, environ, request_time):\n"
        "        raise RuntimeError('no line')\n"
        "    def warning(self, msg, *args, **kwargs):\n"
        "        raise RuntimeError('no warning')\n"
    )
    server = serve("hello", "--logger-class", "own.Own", cwd=tmp_path)
    peer = dial(server)
    assert [peer.get("/").status for _ in range(3)] == [200, 200, 200]
    with dial(server) as other:
        other.send(b"nonsense\r\n\r\n")
        assert other.response().status == 400
    eventually(lambda: server.log().count("RuntimeError: no line") == 4)
    eventually(lambda: "RuntimeError: no warning" in server.log())
    assert "Invalid request from ip=127.0.0.1: " in server.log()


def test_a_reload_brings_the_new_class(serve, dial, tmp_path):
    settings = tmp_path / "gunicorn.conf.py"
    settings.write_text(RECIPE + SETTINGS)
    server = serve("hello", cwd=tmp_path)
    settings.write_text(RECIPE.replace("oops", "new") + SETTINGS.replace("who", "r"))
    server.signal(signal.SIGHUP)
    eventually(lambda: "new [INFO] Worker exiting" in server.log().replace("oops", "new"))
    eventually(lambda: server.log().count("Booting worker") == 2)

    def line_is_the_new_one():
        assert dial(server).get("/").status == 200
        return "GET / HTTP/1.1 GET / 200" in server.access_log()

    eventually(line_is_the_new_one)
    assert server.stop() == 0
    assert server.log().splitlines()[-1].startswith("new [INFO] ")
    assert server.log().count("Shutting down: Master") == 1


def test_a_reload_with_a_class_that_fails_keeps_the_old_one(serve, dial, tmp_path):
    settings = tmp_path / "gunicorn.conf.py"
    settings.write_text(RECIPE + SETTINGS)
    server = serve("hello", cwd=tmp_path)
    settings.write_text("logger_class = 'nowhere.Logger'\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "oops [ERROR] Reload failed, the old settings stay: " in server.log())
    assert dial(server).get("/").status == 200
    assert server.stop() == 0
    assert server.log().splitlines()[-1].startswith("oops [INFO] ")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere.Logger", "`nowhere.Logger` cannot be imported: ModuleNotFoundError: "),
        ("json.Logger", "`json.Logger` cannot be imported: AttributeError: "),
        ("Logger", "`Logger` cannot be imported: LookupError: expected module.Class"),
        ("egg:none#here", "no such entry point in `gunicorn.loggers` of `none`"),
        ("json.__name__", "`json.__name__` is no class"),
    ],
)
def test_a_class_that_is_none_stops_the_start(oxicorn, named, said):
    done = oxicorn("--logger-class", named, "-b", "127.0.0.1:0", "apps.hello:app")
    assert done.returncode == 1
    assert f"logger_class: {said}" in done.stderr or said in done.stderr
    assert "(--logger-class)" in done.stderr


def test_the_check_looks_at_the_class(oxicorn):
    done = oxicorn("--check-config", "--logger-class", "nowhere.Logger", "apps.hello:app")
    assert done.returncode == 1
    assert "`nowhere.Logger` cannot be imported" in done.stderr


def test_an_entry_point(serve, dial, tmp_path):
    (tmp_path / "own.py").write_text(RECIPE)
    about = tmp_path / "own-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[gunicorn.loggers]\nquiet = own:Quiet\n")
    options = ["--logger-class", "egg:own#quiet", "--pythonpath", str(tmp_path)]
    server = serve("hello", *options)
    assert "oops [INFO] Listening at: " in server.log()


# What people do without a class of their own.

FILTER = """
import logging

class NoHealth(logging.Filter):
    def filter(self, record):
        return '/health' not in record.getMessage()

def post_worker_init(worker):
    logging.getLogger('gunicorn.access').addFilter(NoHealth())
"""


def test_a_filter_on_the_access_logger_counts(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(FILTER)
    server = serve("hello", "--access-logformat", "%(U)s", cwd=tmp_path)
    peer = dial(server)
    assert peer.get("/health").status == 200
    assert peer.get("/there").status == 200
    assert eventually(server.access_log) == "/there\n"


FLASK = """
import logging
from flask import Flask

app = Flask('site')
errors = logging.getLogger('gunicorn.error')
app.logger.handlers = errors.handlers
app.logger.setLevel(errors.level)

@app.route('/')
def index():
    app.logger.info('a word of the site')
    app.logger.debug('a quiet one')
    return 'hello'
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_application_writes_with_the_handlers_of_the_error_log(serve, dial, tmp_path, form):
    (tmp_path / "flask_pages.py").write_text(FLASK)
    server = serve("flask_pages:app", "--log-format", form, cwd=tmp_path)
    assert dial(server).get("/").status == 200
    (line,) = [line for line in server.log().splitlines() if "a word of the site" in line]
    if form == "json":
        assert (
            json.loads(line).items() >= {"level": "info", "message": "a word of the site"}.items()
        )
    else:
        assert line.endswith(f"[{server.workers()[0]}] [INFO] a word of the site")
    assert "a quiet one" not in server.log()


def test_an_application_that_turns_loggers_off_leaves_the_servers_alone(serve, dial, tmp_path):
    (tmp_path / "flask_pages.py").write_text(
        "from logging.config import dictConfig\n"
        "from apps.hello import app\n"
        "dictConfig({'version': 1, 'disable_existing_loggers': True})\n"
    )
    server = serve("flask_pages:app", cwd=tmp_path)
    assert dial(server).get("/").status == 200
    eventually(server.access_log)
    assert server.stop() == 0
    assert "Worker exiting (pid: " in server.log()


def test_under_gevent(serve, dial, tmp_path):
    pytest.importorskip("gevent")
    (tmp_path / "own.py").write_text(RECIPE)
    options = ["-k", "gevent", "--logger-class", "own.Quiet", "--access-logformat", "%(h)s %(s)s"]
    server = serve("hello", *options, cwd=tmp_path)
    assert dial(server).get("/there").status == 200
    assert eventually(server.access_log) == "127.0.0.1 200\n"
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    eventually(lambda: "oops [WARNING] Invalid request from " in server.log())
    eventually(lambda: server.access_log() == "127.0.0.1 200\n127.0.0.1 400\n")
