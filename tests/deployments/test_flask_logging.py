"""Flask with hooks and logs in JSON, by a logger class or dictConfig, as a Procfile starts it.

Its settings file imports gunicorn.glogging; oxicorn is started where gunicorn is not installed.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal

import pytest

from support import eventually
from support.server import free_port


class Site:
    """The server, and its lines as objects."""

    def __init__(self, server, port):
        self.server = server
        self._port = port

    def get(self, path, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", path, headers=fields)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def lines(self):
        """Everything on standard error; each line has to be an object."""
        return [json.loads(line) for line in self.server.log().splitlines()]

    def requests(self):
        """Everything on standard output."""
        return [json.loads(line) for line in self.server.out().splitlines()]

    def hooks(self):
        return [
            line["message"].removeprefix("hook ")
            for line in self.lines()
            if line["message"].startswith("hook ")
        ]

    def outside(self):
        """The line about what went wrong outside of Flask."""
        return next((it for it in self.lines() if "LookupError" in it.get("exception", "")), None)

    def said(self, message):
        """The line with this message, as soon as it is there."""
        (line,) = eventually(lambda: [it for it in self.lines() if it["message"] == message])
        return line


@pytest.fixture(params=["class", "dict"])
def site(request, word, tree, deploy, without_gunicorn):
    folder = tree("flask_logging", "Procfile")
    command = shlex.split((folder / "Procfile").read_text().partition(": ")[2])
    port = free_port()
    env = {"PORT": str(port), "SHOP_LOGS": request.param}
    if word == "oxicorn":
        env |= without_gunicorn
    server = deploy(command, folder, env)
    server.says("hook post_worker_init", times=2)
    return Site(server, port)


def test_lines_of_the_server_are_objects(site):
    status, body = site.get("/")
    assert status == 200
    assert json.loads(body)["worker"] in ("1", "2")
    booting = [it for it in site.lines() if it["message"].startswith("Booting worker with pid: ")]
    assert len(booting) == 2
    master = site.server.process.pid
    listening = next(it for it in site.lines() if it["message"].startswith("Listening at: http://"))
    assert listening["level"] == "INFO"
    assert listening["logger"] == "gunicorn.error"
    assert listening["pid"] == master
    assert all(it["pid"] != master for it in booting)
    assert (site.server.folder / "shop.pid").read_text().strip() == str(master)


def test_requests_are_objects_but_for_health_checks(site):
    assert site.get("/health") == (200, b"well")
    assert site.get("/nowhere", **{"User-Agent": 'quo"ted'})[0] == 404
    (line,) = eventually(site.requests)
    assert (line["status"], line["path"], line["agent"]) == (404, "/nowhere", 'quo\\"ted')
    assert '"GET /nowhere HTTP/1.1" 404' in line["message"]
    assert line["logger"] == "gunicorn.access"
    assert line["microseconds"] >= 0


def test_lines_of_the_application_come_the_same_way(site):
    pid = json.loads(site.get("/")[1])["pid"]
    line = site.said("at home")
    assert (line["basket"], line["pid"], line["logger"]) == (3, pid, "shop")
    assert site.get("/warned?who=Ann")[0] == 200
    assert site.said("careful, Ann")["level"] == "WARNING"


def test_exceptions_are_in_their_line(site):
    assert site.get("/broken")[0] == 500
    line = eventually(lambda: [it for it in site.lines() if "exception" in it])[0]
    assert "RuntimeError: broken on purpose" in line["exception"]
    assert site.get("/outside")[0] == 500
    line = eventually(site.outside)
    assert line["message"].startswith("Error handling request")
    assert line["level"] == "ERROR"


def test_hooks_run_in_their_order(site):
    assert site.get("/warned?who=x")[0] == 200
    eventually(lambda: "post_request /warned 200" in site.hooks())
    site.server.signal(signal.SIGHUP)
    eventually(lambda: site.hooks().count("child_exit 1") and site.hooks().count("child_exit 2"))
    eventually(lambda: {"post_worker_init 3", "post_worker_init 4"} <= {*site.hooks()})
    assert site.get("/")[0] == 200
    site.server.signal(signal.SIGTERM)
    assert site.server.ends() == 0
    hooks = site.hooks()

    def comes_before(*names):
        places = [hooks.index(name) for name in names]
        return places == sorted(places)

    assert comes_before("nworkers_changed 2 None", "on_starting", "when_ready", "pre_fork 1")
    for age in (1, 2, 3, 4):
        assert comes_before(
            *(
                f"{hook} {age}"
                for hook in ("pre_fork", "post_fork", "post_worker_init", "worker_exit")
            )
        )
    assert comes_before("post_worker_init 2", "on_reload", "pre_fork 3", "on_exit")
    assert hooks[-1] == "on_exit"
    assert hooks.count("on_reload") == hooks.count("on_exit") == 1


def test_a_worker_that_is_killed_is_told_in_its_place(site):
    pid = json.loads(site.get("/")[1])["pid"]
    os.kill(pid, signal.SIGKILL)
    site.server.says(f"(pid:{pid}) was sent SIGKILL!")
    line = next(it for it in site.lines() if f"(pid:{pid}) was sent SIGKILL!" in it["message"])
    assert line["level"] == "ERROR"
    site.server.says("hook post_worker_init 3")
    assert site.get("/")[0] == 200
