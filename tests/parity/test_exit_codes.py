"""What scripts and service managers go by: the same exit codes as gunicorn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.server import environment

FILES = {
    "shop.py": "def app(environ, start_response): ...\nnothing = None\n\ndef create(word): ...\n",
    "broken.py": "raise RuntimeError('broken on purpose')\n",
    "lacking.py": "import nothing_like_it\n",
    "syntax.py": "def (\n",
    "forked.py": "def post_fork(server, worker):\n    raise RuntimeError('no')\n",
    "loaded.py": "def post_worker_init(worker):\n    raise RuntimeError('no')\n",
    "starting.py": "def on_starting(server):\n    raise RuntimeError('no')\n",
    "ready.py": "def when_ready(server):\n    raise RuntimeError('no')\n",
    "stale.pid": f"{os.getpid()}\n",
}

# Each with the code that both end with.
COMMANDS = {
    "": 1,
    "--nonsense shop:app": 2,
    "--work 2 shop:app": 2,
    "-w some shop:app": 2,
    "--check-config shop:app": 0,
    "--check-config broken:app": 1,
    "--check-config shop:nowhere": 1,
    "--check-config -u nobody-of-this-name shop:app": 1,
    "--check-config -g nobody-of-this-name shop:app": 1,
    "--print-config shop:app": 0,
    "-c nowhere.py shop:app": 1,
    "-c broken.py shop:app": 1,
    "-c python:nowhere shop:app": 1,
    "--chdir nowhere shop:app": 1,
    "-u nobody-of-this-name shop:app": 1,
    "-g nobody-of-this-name shop:app": 1,
    "-e WORD shop:app": 1,
    "-p nowhere/pid shop:app": 1,
    "-p stale.pid shop:app": 1,
    "--access-logfile nowhere/log shop:app": 1,
    "--error-logfile nowhere/log shop:app": 1,
    "-b fd://99 shop:app": 1,
    "--preload broken:app": 1,
    "--preload shop:nowhere": 1,
    "nowhere:app": 3,
    "broken:app": 3,
    "lacking:app": 3,
    "syntax:app": 3,
    "-c forked.py shop:app": 3,
    "-c loaded.py shop:app": 3,
    "-c starting.py shop:app": 1,
    "-c ready.py shop:app": 1,
    "shop:nowhere": 4,
    "shop:nothing": 4,
    "shop:create(": 4,
    "shop:create(word=word)": 4,
    "-h": 0,
    "--version": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run."""
    folder = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", ["gunicorn", "oxicorn"])
@pytest.mark.parametrize("command", COMMANDS)
def test_exit_code(folder, command, name):
    done = subprocess.run(
        [sys.executable, "-m", name, "-b", "127.0.0.1:0", *command.split()],
        cwd=folder,
        env={**environment(), "HOME": str(folder), "XDG_RUNTIME_DIR": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == COMMANDS[command], done.stderr
    assert done.stderr or done.stdout or command.startswith("--check-config shop:app")
