"""Applications in PasteDeploy files: --paste, and Pyramid's pserve with our server."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from support import eventually
from support.program import Program

SITE = """
import logging
from pyramid.config import Configurator
from pyramid.response import Response

def main(global_config, **settings):
    def hello(request):
        logging.getLogger('site').warning('asked for %s', request.path)
        return Response(f"{settings['word']} {global_config.get('extra', 'nothing')}")

    config = Configurator(settings=settings)
    config.add_route('hello', '/')
    config.add_view(hello, route_name='hello')
    return config.make_wsgi_app()
"""

INI = """
[app:main]
paste.app_factory = site_of_mine:main
word = first

[app:other]
paste.app_factory = site_of_mine:main
word = second

[server:main]
use = egg:oxicorn#main
host = 127.0.0.1
port = 0
workers = 2
threads = 2
proc_name = paste-site

[loggers]
keys = root

[handlers]
keys = file

[formatters]
keys = plain

[logger_root]
level = INFO
handlers = file

[handler_file]
class = FileHandler
args = (r'%(here)s/site.log',)
formatter = plain

[formatter_plain]
format = %(name)s: %(message)s
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site_of_mine.py").write_text(SITE)
    (tmp_path / "site.ini").write_text(INI)
    return tmp_path


def test_the_file_names_the_application(serve, dial, site):
    server = serve(None, "--paste", "site.ini", cwd=site)
    with dial(server) as peer:
        assert peer.get().body == b"first nothing"
    eventually(lambda: "site: asked for /\n" in (site / "site.log").read_text())


def test_one_of_several_with_global_values(serve, dial, site):
    """Also when the server goes to another directory: the file belongs to where it started."""
    options = ["--paste", "site.ini#other", "--paste-global", "extra=more", "--chdir", "elsewhere"]
    (site / "elsewhere").mkdir()
    server = serve(None, *options, "--pythonpath", str(site), cwd=site)
    with dial(server) as peer:
        assert peer.get().body == b"second more"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--paste", "nowhere.ini"], "paste: there is no file `"),
        (["--paste", "site.ini#third"], "cannot load 'site.ini#third' (LookupError: "),
        (["--paste", "site.ini", "--paste-global", "x"], "raw_paste_global_conf: expected NAME="),
    ],
)
def test_what_is_wrong_is_told(oxicorn, site, options, text):
    done = oxicorn("--check-config", *options, cwd=site)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {text}"), done.stderr


def test_without_paste_deploy_it_is_told(oxicorn, site):
    hide = "import sys\nsys.modules['paste.deploy'] = None\n"
    (site / "sitecustomize.py").write_text(hide)
    env = {"PYTHONPATH": str(site)}
    done = oxicorn("--check-config", "--paste", "site.ini", cwd=site, env=env)
    assert done.returncode == 1
    assert done.stderr == "Error: paste: needs the package PasteDeploy (pip install PasteDeploy)\n"


def test_pserve(site):
    pserve = shutil.which("pserve", path=str(Path(sys.executable).parent))
    assert pserve is not None
    server = Program([pserve, "site.ini"], site, {"PYTHONPATH": str(site)})
    try:
        assert server.fetch() == b"first nothing"
        eventually(lambda: server.log().count("Booting worker") == 2)
        assert server.ends(signal.SIGTERM) == 0
    finally:
        server.end()
