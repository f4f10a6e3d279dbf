"""Programs that embed gunicorn by its classes, with nothing but the import changed."""

from __future__ import annotations

import signal

from support import eventually

# As gunicorn's documentation has it.
STANDALONE = """
import oxicorn.app.base

def handler_app(environ, start_response):
    page = b'served by %d' % environ['wsgi.multiprocess']
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]

class StandaloneApplication(oxicorn.app.base.BaseApplication):
    def __init__(self, app, options=None):
        self.options = options or {}
        self.application = app
        super().__init__()

    def load_config(self):
        config = {
            key: value
            for key, value in self.options.items()
            if key in self.cfg.settings and value is not None
        }
        for key, value in config.items():
            self.cfg.set(key.lower(), value)

    def load(self):
        return self.application
"""


RUN = """
if __name__ == '__main__':
    options = {'bind': '127.0.0.1:0', 'workers': 2, 'nothing': 1, 'pidfile': None}
    StandaloneApplication(handler_app, options).run()
    print('never here')
"""


def test_the_example_of_gunicorns_documentation(program):
    server = program(STANDALONE + RUN)
    assert server.fetch() == b"served by 1"
    eventually(lambda: server.log().count("Booting worker") == 2)
    assert server.ends(signal.SIGTERM) == 0
    assert server.out() == ""


def test_hooks_find_the_program(program):
    source = """
def post_fork(server, worker):
    worker.log.info('forked for %s', worker.app.application.__name__)

def post_worker_init(worker):
    worker.log.info('serves %s', worker.app.wsgi() is worker.wsgi is worker.app.callable)

options = {'bind': '127.0.0.1:0', 'post_fork': post_fork, 'post_worker_init': post_worker_init}
StandaloneApplication(handler_app, options).run()
"""
    server = program(STANDALONE + source)
    assert server.fetch() == b"served by 0"
    assert "forked for handler_app" in server.log()
    assert "serves True" in server.log()


def test_hup_reads_the_programs_settings_again(program, tmp_path):
    (tmp_path / "count").write_text("1")
    source = """
class Counting(StandaloneApplication):
    def load_config(self):
        super().load_config()
        self.cfg.set('workers', open('count').read())

Counting(handler_app, {'bind': '127.0.0.1:0'}).run()
"""
    server = program(STANDALONE + source)
    assert server.fetch() == b"served by 0"
    (tmp_path / "count").write_text("2")
    server.signal(signal.SIGHUP)
    eventually(lambda: server.log().count("Booting worker") == 3)
    eventually(lambda: server.fetch() == b"served by 1")
    (tmp_path / "count").write_text("many")
    server.signal(signal.SIGHUP)
    eventually(lambda: "Reload failed, the old settings stay" in server.log())
    assert server.fetch() == b"served by 1"


def test_a_wrong_setting_ends_the_program_with_1(program):
    server = program(STANDALONE + "StandaloneApplication(None, {'workers': 'many'})\n")
    assert server.ends() == 1
    assert (
        "Error: workers: expected a whole number that is not negative, got `many`" in server.log()
    )


def test_settings_are_read_and_set_one_by_one(program):
    source = """
import json
app = StandaloneApplication(handler_app)
app.cfg.set('workers', '3')
app.cfg.settings['threads'].set(4)
entry = app.cfg.settings['workers']
print(json.dumps([app.cfg.workers, entry.get(), entry.value, entry.name, app.cfg.threads,
    'nothing' in app.cfg.settings, app.cfg.bind]))
try:
    app.cfg.set('nothing', 1)
except AttributeError as error:
    print(error)
"""
    server = program(
        STANDALONE + source, PORT="5001", WEB_CONCURRENCY="9", GUNICORN_CMD_ARGS="-w 7"
    )
    assert server.ends() == 0
    first, second = server.out().splitlines()
    assert first == '[3, 3, 3, "workers", 4, false, ["0.0.0.0:5001"]]'
    assert second == "no setting `nothing`"


# What people write who want the command line's application with settings of their own.
NAMED = """
from oxicorn.app.wsgiapp import WSGIApplication

class StandaloneApplication(WSGIApplication):
    def __init__(self, app_uri, options=None):
        self.options = options or {}
        self.app_uri = app_uri
        super().__init__()

    def load_config(self):
        config = {k: v for k, v in self.options.items() if k in self.cfg.settings}
        for key, value in config.items():
            self.cfg.set(key.lower(), value)

StandaloneApplication('apps.hello:app', {'bind': '127.0.0.1:0', 'workers': 1}).run()
"""


def test_wsgi_application_with_a_name(program):
    server = program(NAMED)
    assert server.fetch() == b"hello\n"


COMMAND = """
from oxicorn.app.base import Application

class Shop(Application):
    def init(self, parser, opts, args):
        assert opts.workers is None and args == [], (opts.workers, args)
        return {'bind': '127.0.0.1:0', 'threads': 2, 'timeout': 90}

    def load_config(self):
        super().load_config()
        self.cfg.set('keepalive', 5)

    def load(self):
        def app(environ, start_response):
            cfg = self.cfg
            page = f'{cfg.threads} {cfg.timeout} {cfg.keepalive} {cfg.backlog}'.encode()
            start_response('200 OK', [('Content-Length', str(len(page)))])
            return [page]
        return app

Shop('%(prog)s [OPTIONS]').run()
"""


def test_application_has_a_command_line_and_files(program, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 80\nbacklog = 100\nkeepalive = 9\n")
    server = program(COMMAND, "--threads", "3")
    assert server.fetch() == b"3 80 5 100"


def test_run_is_the_console_script(program):
    source = "import sys\nfrom oxicorn.app.wsgiapp import run\nsys.exit(run())\n"
    server = program(source, "-b", "127.0.0.1:0", "apps.hello:app")
    assert server.fetch() == b"hello\n"
    assert server.ends(signal.SIGINT) == 0


def test_a_new_program_takes_over(program):
    """USR2, with a program of one's own."""
    server = program(STANDALONE + RUN)
    assert server.fetch() == b"served by 1"
    server.signal(signal.SIGUSR2)
    eventually(lambda: server.log().count("Starting oxicorn") == 2)
    eventually(lambda: server.log().count("Booting worker") == 4)
    assert server.ends(signal.SIGTERM) == 0
    eventually(lambda: "Master has been promoted." in server.log())
