"""Flask with a factory, started by the shell script of an image."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import eventually
from support.server import free_port

PLATFORM = {"WEB_CONCURRENCY": "2", "GUNICORN_CMD_ARGS": "--graceful-timeout 20"}


def ask(port, path="/", method="GET", body=None, **fields):
    """One request; gives status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body=body, headers=fields)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


@pytest.fixture
def container(tree, deploy):
    """The server and its port."""
    port = free_port()
    folder = tree("flask_container", "start.sh")
    server = deploy(["sh", "start.sh"], folder, {"PORT": str(port), **PLATFORM})
    server.says("Booting worker", times=2)
    return server, port


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def test_the_platform_is_obeyed(container, word):
    server, port = container
    status, body = ask(port, "/", **{"X-Forwarded-Proto": "https"})
    seen = json.loads(body)
    assert status == 200
    # `exec`: the script has become the master.
    assert f"start.sh: pid {server.process.pid}" in server.out()
    assert seen["parent"] == server.process.pid
    assert (seen["scheme"], seen["server"]) == ("https", word)
    assert (seen["multithread"], seen["multiprocess"]) == (True, True)
    assert len(children(server.process.pid)) == 2
    assert f"Listening at: http://0.0.0.0:{port}" in server.log()
    assert ask(port, "/nowhere")[0] == 404
    order = json.dumps({"item": "spoon", "count": 3})
    status, body = ask(port, "/orders", "POST", order, **{"Content-Type": "application/json"})
    assert (status, json.loads(body)) == (201, json.loads(order))
    eventually(lambda: '"POST /orders HTTP/1.1" 201' in server.out())


def test_requests_run_in_threads(container):
    _, port = container
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(port, "/slow"), range(8)))
    assert answers == [(200, b"slow")] * 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(container, number):
    server, _ = container
    server.signal(number)
    assert server.ends() == 0
    assert "Shutting down: Master" in server.log()


def test_stop_lets_requests_finish(container):
    server, port = container
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, port, "/slow")
        server.says("slow begins")
        server.signal(signal.SIGTERM)
        assert answer.result(60) == (200, b"slow")
    assert server.ends() == 0


def test_missing_variable_ends_the_script(tree, deploy):
    server = deploy(["sh", "start.sh"], tree("flask_container", "start.sh"), {})
    assert server.ends() == 2
    assert "PORT is not set" in server.log()


def test_broken_factory_ends_the_container(tree, deploy):
    folder = tree("flask_container", "start.sh")
    (folder / "shop.py").write_text("import nowhere_to_be_found\n")
    # Of two workers that fail at once, gunicorn may trip over the second.
    platform = {"PORT": str(free_port()), "WEB_CONCURRENCY": "1"}
    server = deploy(["sh", "start.sh"], folder, platform)
    assert server.ends() == 3
    assert "nowhere_to_be_found" in server.log()


UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


@pytest.fixture
def first_process(tree, deploy):
    """The same as process 1 of a namespace; gives the server, its port, and the outer number."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("no namespace for processes can be made here")
    port = free_port()
    folder = tree("flask_container", "start.sh")
    server = deploy([*UNSHARE, "sh", "start.sh"], folder, {"PORT": str(port), **PLATFORM})
    server.says("Booting worker", times=2)
    assert "start.sh: pid 1" in server.out()
    (master,) = children(server.process.pid)
    return server, port, master


def test_process_1_is_stopped_by_term(first_process):
    server, port, master = first_process
    assert json.loads(ask(port)[1])["parent"] == 1
    os.kill(master, signal.SIGTERM)
    assert server.ends() == 0
    assert "Shutting down: Master" in server.log()


def test_process_1_reaps_what_others_leave(first_process):
    _, port, master = first_process
    workers = set(children(master))
    assert ask(port, "/orphan") == (200, b"left")
    eventually(lambda: set(children(master)) == workers)
    assert not any(is_zombie(child) for child in children(master))
    assert ask(port)[0] == 200
