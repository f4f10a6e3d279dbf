"""From the start to the end: what is logged, what ends what, and how fast nothing needs to be."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from support import eventually


def pid_of(server, dial):
    """The worker that answers."""
    with dial(server) as peer:
        return int(peer.get().body)


def booted(server, count):
    """Waits until so many workers have been booted in all."""
    eventually(lambda: server.log().count("Booting worker with pid") >= count)


def test_start_and_stop_are_logged(serve, dial):
    server = serve("whoami", workers=2)
    pid_of(server, dial)
    assert server.stop() == 0
    log = server.log()
    for line in (
        r"\[INFO\] Starting oxicorn \d",
        rf"\[INFO\] Listening at: http://127\.0\.0\.1:\d+ \({server.pid}\)",
        r"\[INFO\] Using worker: sync",
        r"\[INFO\] Booting worker with pid: \d+",
        r"\[INFO\] Handling signal: term",
        r"\[INFO\] Worker exiting \(pid: \d+\)",
        r"\[INFO\] Shutting down: Master",
    ):
        assert re.search(line, log), line
    assert "Traceback" not in log


def test_killed_worker_is_replaced(serve, dial):
    server = serve("whoami")
    first = pid_of(server, dial)
    os.kill(first, signal.SIGKILL)
    booted(server, 2)
    assert pid_of(server, dial) != first
    assert f"Worker (pid:{first}) was sent SIGKILL!" in server.log()


def test_term_lets_a_request_finish(serve, dial):
    server = serve("sleepy")
    with dial(server) as peer:
        peer.send(b"GET /1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        response = peer.response()
        assert (response.status, response.body) == (200, b"/1500")
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_is_quick_and_quiet(serve, dial, number):
    server = serve("sleepy", "--graceful-timeout", "50")
    with dial(server) as peer:
        peer.send(b"GET /60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: server.workers())
        time.sleep(0.3)
        begin = time.monotonic()
        server.signal(number)
        assert server.wait() == 0
        assert time.monotonic() - begin < 25  # half of what grace would take
    assert "Traceback" not in server.log()


def test_slow_worker_is_killed_after_graceful_timeout(serve, dial):
    server = serve("sleepy", "--graceful-timeout", "1")
    with dial(server) as peer:
        peer.send(b"GET /120000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        assert server.stop() == 0
    assert "It had not finished within `graceful_timeout` (1 s)." in server.log()


def test_ttin_and_ttou_change_the_number_of_workers(serve):
    server = serve("whoami", workers=1)
    eventually(lambda: len(server.workers()) == 1)
    server.signal(signal.SIGTTIN)
    eventually(lambda: len(server.workers()) == 2)
    server.signal(signal.SIGTTOU)
    eventually(lambda: len(server.workers()) == 1)
    server.signal(signal.SIGTTOU)
    eventually(lambda: server.log().count("Handling signal: ttou") == 2)
    assert len(server.workers()) == 1


def test_timeout_names_the_request_and_shows_the_stack(serve, dial):
    server = serve("sleepy", "--timeout", "1")
    with dial(server) as peer:
        peer.send(b"GET /45000 HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: "WORKER TIMEOUT" in server.log())
        assert peer.closed_by_server()
    booted(server, 2)
    log = server.log()
    assert re.search(r"\[CRITICAL\] WORKER TIMEOUT \(pid:\d+\)", log)
    assert re.search(r"for \d+\.\d+ s: GET /45000 client=127\.0\.0\.1", log)
    # It is logged when it is whole, which may be after the next worker has begun.
    eventually(lambda: re.search(r'sleepy\.py", line \d+ in app', server.log()))
    with dial(server) as peer:
        assert peer.get("/1").status == 200


def test_idle_worker_does_not_time_out(serve, dial):
    server = serve("whoami", "--timeout", "1")
    first = pid_of(server, dial)
    time.sleep(3)
    assert pid_of(server, dial) == first


def test_max_requests_replaces_first(serve, dial):
    server = serve("whoami", "--max-requests", "5")
    first = pid_of(server, dial)
    eventually(lambda: pid_of(server, dial) != first)
    log = server.log()
    assert f"Autorestarting worker (pid:{first})" in log
    assert "was sent" not in log


def test_worker_that_loses_its_alive_flag_is_replaced(serve, dial, tmp_path):
    (tmp_path / "settings.py").write_text(
        "def post_worker_init(worker):\n"
        "    if worker.age == 1:\n"
        "        import threading\n"
        "        threading.Timer(1, lambda: setattr(worker, 'alive', False)).start()\n"
    )
    server = serve("whoami", "-c", str(tmp_path / "settings.py"))
    first = pid_of(server, dial)
    eventually(lambda: pid_of(server, dial) != first)


def test_preload_loads_once(serve, dial):
    server = serve("whoami", "--preload", workers=2)
    assert pid_of(server, dial) in server.workers()


@pytest.mark.parametrize(
    ("spec", "code", "reason"),
    [
        ("no_such_module:app", 3, "Worker failed to boot."),
        ("apps.hello:gone", 4, "App failed to load."),
    ],
)
def test_application_that_does_not_load_stops_the_start(oxicorn, spec, code, reason):
    done = oxicorn("-b", "127.0.0.1:0", "-w", "2", spec)
    assert done.returncode == code
    assert f"Reason: {reason}" in done.stderr
    assert "Shutting down: Master" in done.stderr


def test_busy_port_is_told(oxicorn):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = oxicorn("-b", f"127.0.0.1:{port}", "apps.hello:app")
    assert done.returncode == 1
    assert f"Connection in use: ('127.0.0.1', {port})" in done.stderr
    assert f"Can't connect to ('127.0.0.1', {port})" in done.stderr
    assert "Traceback" not in done.stderr


def test_pidfile(serve, oxicorn, tmp_path):
    path = tmp_path / "server.pid"
    server = serve("whoami", "--pid", str(path))
    assert path.read_text() == f"{server.pid}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    done = oxicorn("-b", "127.0.0.1:0", "--pid", str(path), "apps.hello:app")
    assert done.returncode == 1
    assert f"Already running on PID {server.pid}" in done.stderr
    assert server.stop() == 0
    assert not path.exists()


def test_workers_go_with_their_master(serve):
    server = serve("whoami", workers=2)
    eventually(lambda: len(server.workers()) == 2)
    workers = server.workers()
    server.expected_exit = None
    server.signal(signal.SIGKILL)
    server.wait()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_application_exit_codes_do_not_stop_the_master(serve, dial, tmp_path):
    (tmp_path / "leaver.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/leave':\n"
        "        os._exit(3)\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n"
        "    return [b'ok']\n"
    )
    server = serve("leaver:app", cwd=tmp_path)
    with dial(server) as peer:
        peer.send(b"GET /leave HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.closed_by_server()
    booted(server, 2)
    with dial(server) as peer:
        assert peer.get().body == b"ok"


HOOKS = [
    "on_starting",
    "when_ready",
    "pre_fork",
    "post_fork",
    "post_worker_init",
    "worker_exit",
    "child_exit",
    "on_exit",
    "nworkers_changed",
]


def test_hooks_run_where_they_should(serve, dial, tmp_path):
    (tmp_path / "settings.py").write_text(
        "import os\n"
        "def note(name):\n"
        "    def hook(*args):\n"
        "        with open('hooks.txt', 'a') as file:\n"
        "            file.write(f'{name} {os.getpid()}\\n')\n"
        "    return hook\n" + "".join(f"{name} = note('{name}')\n" for name in HOOKS)
    )
    server = serve("whoami", "-c", str(tmp_path / "settings.py"), cwd=tmp_path)
    worker = pid_of(server, dial)
    assert server.stop() == 0
    ran = [line.split() for line in (tmp_path / "hooks.txt").read_text().splitlines()]
    master, own = str(server.pid), str(worker)
    assert ran == [
        ["nworkers_changed", master],
        ["on_starting", master],
        ["when_ready", master],
        ["pre_fork", master],
        ["post_fork", own],
        ["post_worker_init", own],
        ["worker_exit", own],
        ["child_exit", master],
        ["on_exit", master],
    ]


def test_worker_shrugs_off_the_masters_signals(serve, dial):
    server = serve("whoami")
    first = pid_of(server, dial)
    for number in ("HUP", "USR2", "TTIN", "TTOU", "WINCH"):
        os.kill(first, getattr(signal, f"SIG{number}"))
        assert pid_of(server, dial) == first


def test_usage_error_ends_with_2(oxicorn):
    assert oxicorn("--no-such-option").returncode == 2
