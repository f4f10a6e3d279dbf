"""The error log: gunicorn's line shape, levels, rotation, and floods."""

from __future__ import annotations

import re
import signal
import time

import pytest

from support import eventually
from support.server import free_port

LINE = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] "
    r"\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] .+"
)


def test_every_line_of_a_start_has_time_pid_and_level(serve):
    server = serve("hello")
    lines = server.log().splitlines()
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert any(f"[{server.pid}] [INFO] Listening at: " in line for line in lines)


def test_levels_below_the_setting_are_left_out(serve, dial):
    bind = f"127.0.0.1:{free_port()}"
    server = serve("hello", "--log-level", "error", bind=bind, announced=False)
    assert dial(server).get("/").status == 200
    assert "[INFO]" not in server.log()


def test_usr1_opens_the_file_anew(serve, tmp_path):
    path, rotated = tmp_path / "error.log", tmp_path / "error.log.1"
    bind = f"127.0.0.1:{free_port()}"
    server = serve("hello", "--error-logfile", str(path), bind=bind, announced=False)
    eventually(lambda: "Listening at" in path.read_text())
    path.rename(rotated)
    server.signal(signal.SIGUSR1)
    eventually(path.exists)
    assert server.stop() == 0
    assert "Listening at" not in path.read_text()
    assert "Shutting down" in path.read_text()


def test_a_flood_of_bad_requests_writes_few_lines(serve, dial):
    server = serve("hello")
    began = time.monotonic()
    for _ in range(200):
        peer = dial(server)
        peer.send(b"BAD\x00\r\n\r\n")
        assert peer.response().status == 400
    # Ten in each second, the first and the last one counted whole.
    limit = 10 * (time.monotonic() - began + 2)
    assert server.log().count("Invalid request") <= limit


@pytest.mark.parametrize("bytes_sent", [b"GET /\x1b[31m HTTP/1.1\r\n\r\n", b"\xff\xfe\r\n\r\n"])
def test_bad_requests_bring_no_control_characters_into_the_log(serve, dial, bytes_sent):
    server = serve("hello")
    peer = dial(server)
    peer.send(bytes_sent)
    peer.rest()
    assert all(" " <= char <= "~" for char in server.log().replace("\n", ""))


PRINTS = """
import os, sys

def app(environ, start_response):
    print('printed by', os.getpid())
    print('complained', file=sys.stderr)
    os.write(1, b'written below Python\\n')
    start_response('200 OK', [('Content-Length', '0')])
    return []
"""


def test_output_is_captured_also_after_rotation(serve, dial, tmp_path):
    (tmp_path / "prints.py").write_text(PRINTS)
    path, rotated = tmp_path / "error.log", tmp_path / "error.log.1"
    options = ["--capture-output", "--error-logfile", str(path), "--access-logfile", "/dev/null"]
    bind = f"127.0.0.1:{free_port()}"
    server = serve("prints:app", *options, cwd=tmp_path, bind=bind, announced=False)
    dial(server).get("/")
    (worker,) = server.workers()
    said = [f"printed by {worker}\n", "complained\n", "written below Python\n"]
    eventually(lambda: all(line in path.read_text() for line in said))
    path.rename(rotated)
    server.signal(signal.SIGUSR1)

    def goes_to_the_new_file():
        dial(server).get("/")
        return path.exists() and all(line in path.read_text() for line in said)

    eventually(goes_to_the_new_file)
    assert server.log() == server.access_log() == ""
