"""Programs as the libraries' own pages have them run with their import changed and nothing else."""

from __future__ import annotations

import http.client
import signal
import sys
import urllib.request

import pytest

from support import eventually
from support.program import Program
from support.server import free_port

GEVENT = """
{imports}
from apps.flask_site import app

http_server = WSGIServer(("127.0.0.1", {port}), app)
http_server.serve_forever()
"""
TORNADO = """
{imports}
from tornado.ioloop import IOLoop
from apps.flask_site import app

http_server = HTTPServer(WSGIContainer(app))
http_server.listen({port}, "127.0.0.1")
IOLoop.instance().start()
"""
EVENTLET = """
import eventlet
{imports}
from apps.flask_site import app

wsgi.server(eventlet.listen(("127.0.0.1", {port})), app)
"""
PROGRAMS = {
    "gevent": (
        GEVENT,
        "from gevent.pywsgi import WSGIServer",
        "from oxicorn.gevent import WSGIServer",
    ),
    "tornado": (
        TORNADO,
        "from tornado.wsgi import WSGIContainer\nfrom tornado.httpserver import HTTPServer",
        "from oxicorn.tornado import HTTPServer, WSGIContainer",
    ),
    "eventlet": (
        EVENTLET,
        "from eventlet import wsgi",
        "from oxicorn import eventlet as wsgi",
    ),
}


def page(tmp_path, text, imports):
    """What the program answers; it ends with Ctrl-C."""
    port = free_port()
    file = tmp_path / "program.py"
    file.write_text(text.format(imports=imports, port=port))
    program = Program([sys.executable, "-W", "ignore", str(file)], tmp_path)

    def answer():
        assert program.process.poll() is None, program.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
                return response.status, response.headers["Server"], response.read()
        except ConnectionError:
            return None  # it does not listen yet
        except OSError as error:
            if isinstance(getattr(error, "reason", None), ConnectionError):
                return None
            raise

    try:
        said = eventually(answer, within=60)
        program.ends(signal.SIGINT)
    finally:
        program.end()
    return said


@pytest.mark.parametrize("library", PROGRAMS)
def test_only_the_import_changes(tmp_path, library):
    pytest.importorskip(library)
    text, theirs, ours = PROGRAMS[library]
    status, server, body = page(tmp_path, text, ours)
    assert (status, server) == (200, "oxicorn")
    assert body == page(tmp_path, text, theirs)[2] != b""


INTERRUPTED = """
import os, signal

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
    return [b"hello"]
"""


@pytest.mark.parametrize("library", PROGRAMS)
def test_ctrl_c_ends_the_program_also_when_it_hits_a_request(tmp_path, library):
    pytest.importorskip(library)
    text, _, ours = PROGRAMS[library]
    text = text.replace("from apps.flask_site import app", INTERRUPTED)
    port = free_port()
    file = tmp_path / "program.py"
    file.write_text(text.format(imports=ours, port=port))
    program = Program([sys.executable, "-W", "ignore", str(file)], tmp_path)

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
                return response.read()
        except (OSError, http.client.HTTPException):
            return None

    try:
        assert eventually(lambda: ask("/"), within=60) == b"hello"
        ask("/interrupt")
        assert program.process.wait(60) is not None
    finally:
        program.end()
