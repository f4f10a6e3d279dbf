"""Figures for StatsD."""

from __future__ import annotations

import os
import re
import signal

import pytest

from support import eventually


@pytest.fixture(params=["udp", "dgram"])
def collector(request, listen):
    """A StatsD server: its address as the setting has it, and what it got."""
    place, ear = listen(request.param)
    address = place if request.param == "udp" else f"unix://{place}"
    return address, lambda: ear.text().splitlines()


def test_requests_and_workers(serve, dial, collector):
    address, got = collector
    server = serve("hello", "--statsd-host", address, "--statsd-prefix", "shop", workers=2)
    with dial(server) as peer:
        assert peer.get().status == 200
    eventually(lambda: "shop.gunicorn.request.status.200:1|c|@1.0" in got())
    assert "shop.gunicorn.requests:1|c|@1.0" in got()
    duration = r"shop\.gunicorn\.request\.duration:\d+\.\d+\|ms"
    assert any(re.fullmatch(duration, figure) for figure in got())
    eventually(lambda: "shop.gunicorn.workers:2|g" in got())


def test_tags(serve, dial, collector):
    address, got = collector
    server = serve("hello", "--statsd-host", address, "--dogstatsd-tags", "env:test,a:b")
    with dial(server) as peer:
        assert peer.get().status == 200
    eventually(lambda: "gunicorn.requests:1|c|@1.0|#env:test,a:b" in got())


def test_nobody_listening_is_no_trouble(serve, dial, tmp_path):
    server = serve("hello", "--statsd-host", f"unix://{tmp_path}/nobody")
    with dial(server) as peer:
        assert peer.get().status == 200
        assert peer.get().status == 200


def test_a_wrong_address_stops_the_start(oxicorn):
    done = oxicorn("--statsd-host", "here:there", "-b", "127.0.0.1:0", "apps.hello:app")
    assert done.returncode == 1
    assert "statsd_host: expected HOST:PORT or unix://PATH, got `here:there`" in done.stderr


def test_grave_messages_are_counted(serve, dial, collector, tmp_path):
    address, got = collector
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    1 / 0\n")
    server = serve("broken:app", "--statsd-host", address, cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().status == 500
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    eventually(lambda: "gunicorn.log.exception:1|c|@1.0" in got())
    eventually(lambda: "gunicorn.log.warning:1|c|@1.0" in got())
    assert "gunicorn.request.status.500:1|c|@1.0" in got()
    assert "ZeroDivisionError" in server.log()
    assert "Invalid request from" in server.log()


HOOKS = """
def when_ready(server):
    for kind in ('gauge', 'counter', 'histogram', 'timer'):
        server.log.info('a %s', kind, extra={'metric': f'own.{kind}', 'value': 7, 'mtype': kind})
    server.log.debug('', extra={'metric': 'own.silent', 'value': 0, 'mtype': 'gauge'})
    server.log.critical('grave')
    server.log.increment('own.sum', 2)
"""


def test_figures_of_hooks(serve, collector, tmp_path):
    address, got = collector
    (tmp_path / "gunicorn.conf.py").write_text(HOOKS)
    server = serve("hello", "--statsd-host", address, cwd=tmp_path)
    eventually(lambda: "own.sum:2|c|@1.0" in got())
    expected = ["own.gauge:7|g", "own.counter:7|c|@1.0", "own.histogram:7|h", "own.timer:7|ms"]
    expected += ["own.silent:0|g", "gunicorn.log.critical:1|c|@1.0"]
    assert [figure for figure in expected if figure not in got()] == []
    assert "[INFO] a gauge" in server.log()


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_connections_that_wait(serve, dial, collector, tmp_path, place):
    """While no worker accepts any; and again none when they are accepted."""
    address, got = collector
    bind = "127.0.0.1:0" if place == "tcp" else f"unix:{tmp_path}/http.sock"
    server = serve("hello", "--statsd-host", address, "--enable-backlog-metric", bind=bind)
    with dial(server) as peer:
        assert peer.get().status == 200
    eventually(lambda: "gunicorn.backlog:0|h" in got())
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        waiting = [dial(server) for _ in range(3)]
        eventually(lambda: "gunicorn.backlog:3|h" in got())
    finally:
        os.kill(worker, signal.SIGCONT)
    for peer in waiting:
        assert peer.get().status == 200
    before = len(got())
    eventually(lambda: "gunicorn.backlog:0|h" in got()[before:])


def test_the_backlog_is_told_when_a_reload_asks_for_it(serve, collector, tmp_path):
    address, got = collector
    settings = tmp_path / "gunicorn.conf.py"
    settings.write_text("")
    server = serve("hello", "--statsd-host", address, cwd=tmp_path)
    eventually(lambda: "gunicorn.workers:1|g" in got())
    settings.write_text("enable_backlog_metric = True\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "gunicorn.backlog:0|h" in got())


def test_a_subclass_of_gunicorns(serve, dial, collector, either_way, tmp_path):
    address, got = collector
    (tmp_path / "own.py").write_text(
        "from gunicorn.instrument.statsd import Statsd\n"
        "class Own(Statsd):\n"
        "    def access(self, resp, req, environ, request_time):\n"
        "        super().access(resp, req, environ, request_time)\n"
        "        self.increment('own.' + environ['PATH_INFO'].strip('/'), 1)\n"
    )
    options = ["--logger-class", "own.Own", "--statsd-host", address, "--statsd-prefix", "shop."]
    server = serve("hello", *options, cwd=tmp_path, env=either_way, workers=2)
    with dial(server) as peer:
        assert peer.get("/there").status == 200
    eventually(lambda: "shop.own.there:1|c|@1.0" in got())
    assert "shop.gunicorn.request.status.200:1|c|@1.0" in got()
    eventually(lambda: "shop.gunicorn.workers:2|g" in got())


def test_a_collector_that_comes_later(serve, dial, listen, tmp_path):
    server = serve("hello", "--statsd-host", f"unix://{tmp_path}/dgram.sock")
    with dial(server) as peer:
        assert peer.get().status == 200
    _, ear = listen("dgram")

    def arrives():
        with dial(server) as peer:
            assert peer.get().status == 200
        return "gunicorn.requests:1|c|@1.0" in ear.text()

    eventually(arrives)
