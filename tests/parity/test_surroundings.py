"""What an application finds around it, beside gunicorn's: directory, path, environment, umask."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from support import Peer
from support.deployed import Deployed
from support.server import free_port

APPLICATION = """
import json, os, sys

def look():
    mask = os.umask(0)
    os.umask(mask)
    return {
        "directory": os.getcwd(),
        "path": sys.path[:4],
        "software": os.environ.get("SERVER_SOFTWARE", "").partition("/")[0],
        "environment": {name: os.environ.get(name) for name in ("A", "B", "LISTEN_FDS")},
        "umask": mask,
        "main": sys.modules["__main__"].__name__,
        "config": "__config__" in sys.modules,
        "argv": sys.argv[1:],
        "words": WORDS,
    }

WORDS = []

def create(*args, **kwargs):
    WORDS.append([args, kwargs])
    return app

AT_IMPORT = look()

def app(environ, start_response):
    page = json.dumps([AT_IMPORT, look()]).encode()
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]

application = app
"""

SETTINGS = """
raw_env = ["A=file", "B=x=y"]
workers = 1
"""

# Options and environment.
STARTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "plain": (["shop"], {}),
    "directory and path": (
        ["--chdir", "site", "--pythonpath", "lib,/usr/share", "-m", "027", "shop:app"],
        {},
    ),
    "a file": (["-c", "settings.py", "-e", "A=line", "shop:app"], {}),
    "words of the environment": (
        ["shop:app"],
        {"GUNICORN_CMD_ARGS": "-c settings.py -e A=words other:app"},
    ),
    "a file named twice": (
        ["-c", "settings.py", "shop:app"],
        {"GUNICORN_CMD_ARGS": "-c nowhere.py", "A": "outer"},
    ),
    "a module of settings": (["-c", "python:settings", "shop:app"], {}),
    "a factory": (['shop:create("a", 1, b=None, c=[2, {"d": True}])'], {}),
    "preloaded": (["--preload", "-e", "A=line", "--chdir", "site", "shop:app"], {}),
}


def seen(name: str, folder: Path, options: list[str], env: dict[str, str]) -> Any:
    port = free_port()
    server = Deployed([name, "-b", f"127.0.0.1:{port}", *options], folder, env)
    try:
        server.says("Booting worker")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            found = json.loads(Peer(connection).get().body)
    finally:
        server.end()
    for each in found:
        assert each.pop("software") == name
        each["argv"] = [word for word in each["argv"] if not word.startswith("127.")]
    return found


@pytest.mark.parametrize("start", STARTS)
def test_the_same_surroundings(tmp_path, start):
    for folder in (tmp_path, tmp_path / "site"):
        folder.mkdir(exist_ok=True)
        (folder / "shop.py").write_text(APPLICATION)
        (folder / "settings.py").write_text(SETTINGS)
    options, env = STARTS[start]
    before = os.umask(0o026)
    try:
        theirs = seen("gunicorn", tmp_path, options, env)
        ours = seen("oxicorn", tmp_path, options, env)
    finally:
        os.umask(before)
    assert ours == theirs
    assert ours[1]["umask"] == 0o026
