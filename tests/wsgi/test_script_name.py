"""SCRIPT_NAME in the environment of the server: the prefix of all paths, as under gunicorn."""

from __future__ import annotations

import json
import sys

import pytest

from support.program import Program

APP = """
import json

def app(environ, start_response):
    page = json.dumps([environ['SCRIPT_NAME'], environ['PATH_INFO'], environ['RAW_URI']]).encode()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "prefixed.py").write_text(APP)
    return tmp_path


def test_it_is_cut_off_the_path(serve, dial, site):
    server = serve("prefixed:app", cwd=site, env={"SCRIPT_NAME": "/shop"})
    with dial(server) as peer:
        assert json.loads(peer.get("/shop/a?b").body) == ["/shop", "/a", "/shop/a?b"]
        assert json.loads(peer.get("/shop").body) == ["/shop", "", "/shop"]


@pytest.mark.parametrize("path", ["/", "/other", "/shopping"])
def test_other_paths_are_refused(serve, dial, site, path):
    server = serve("prefixed:app", cwd=site, env={"SCRIPT_NAME": "/shop"})
    with dial(server) as peer:
        assert peer.get(path).status == 400
        assert peer.get("/shop/").status == 200


def test_a_trusted_proxy_has_the_last_word(serve, dial, site):
    server = serve("prefixed:app", cwd=site, env={"SCRIPT_NAME": "/shop"})
    with dial(server) as peer:
        told = peer.get("/store/a", "SCRIPT_NAME: /store")
        assert json.loads(told.body) == ["/store", "/a", "/store/a"]


def test_raw_env_sets_it_too(serve, dial, site):
    server = serve("prefixed:app", "-e", "SCRIPT_NAME=/shop/", cwd=site)
    with dial(server) as peer:
        assert json.loads(peer.get("/shop/a").body) == ["/shop", "/a", "/shop/a"]


def test_gunicorn_tells_the_same(site):
    """For the paths that both take."""
    found = []
    for module in ("gunicorn", "oxicorn"):
        folder = site / module
        folder.mkdir()
        args = [sys.executable, "-m", module, "-b", "127.0.0.1:0", "--pythonpath", str(site)]
        program = Program([*args, "prefixed:app"], folder, {"SCRIPT_NAME": "/shop"})
        try:
            found.append(program.fetch("/shop/a%20b"))
        finally:
            program.end()
    assert found[0] == found[1] == b'["/shop", "/a b", "/shop/a%20b"]'
