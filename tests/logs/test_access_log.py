"""The access log: one line per request, whatever the client sends (docs: access_log_format)."""

from __future__ import annotations

import re
import signal

import pytest

from support import eventually

COMBINED = re.compile(
    r"127\.0\.0\.1 - (\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"GET / HTTP/1\.1" 200 \d+ "(.*)" "(.*)"'
)


def lines_of(server, count):
    """The access log once it has that many lines, for the line comes after the response."""
    eventually(lambda: server.access_log().count("\n") >= count)
    return server.access_log().splitlines()


def test_default_is_the_combined_format(serve, dial):
    server = serve("hello")
    peer = dial(server)
    peer.get("/")
    peer.get(
        "/",
        "Referer: http://a.test/",
        "User-Agent: probe",
        "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    )
    plain, full = lines_of(server, 2)
    assert COMBINED.fullmatch(plain).groups() == ("-", "-", "-")
    assert COMBINED.fullmatch(full).groups() == ("Aladdin", "http://a.test/", "probe")


def test_atoms_follow_the_format(serve, dial):
    form = "%(m)s|%(U)s|%(q)s|%(H)s|%(s)6s|%({X-Probe}i)s|%({content-type}o)s|%(Z)s|100%%"
    server = serve("hello", "--access-logformat", form)
    dial(server).get("/a?b=c", "X-Probe: yes")
    line = lines_of(server, 1)[0]
    assert line.startswith("GET|/a|b=c|HTTP/1.1|   200|yes|text/plain")
    assert line.endswith("|-|100%")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(rb'a"b\c', r"a\"b\\c"), (b"\xff\xfe", r"\xff\xfe"), (b"a\tb", r"a\x09b")],
)
def test_bytes_of_the_client_are_escaped(serve, dial, value, shown):
    server = serve("hello", "--access-logformat", "[%(a)s]")
    peer = dial(server)
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + value + b"\r\n\r\n")
    peer.response()
    assert lines_of(server, 1) == [f"[{shown}]"]


def test_a_decoded_path_cannot_write_a_second_line(serve, dial):
    server = serve("hello", "--access-logformat", "[%(U)s]")
    dial(server).get("/a%0d%0ab%1b[31m")
    assert lines_of(server, 1) == [r"[/a\x0d\x0ab\x1b[31m]"]


def test_a_refused_request_has_its_line(serve, dial):
    server = serve("hello", "--access-logformat", "%(h)s %(s)s")
    peer = dial(server)
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")
    assert peer.response().status == 400
    assert lines_of(server, 1) == ["127.0.0.1 400"]


def test_usr1_opens_the_file_anew(serve, dial, tmp_path):
    path, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    server = serve("hello", "--access-logfile", str(path), "--access-logformat", "%(U)s", workers=2)
    dial(server).get("/before")
    eventually(lambda: path.read_text() == "/before\n")
    path.rename(rotated)
    server.signal(signal.SIGUSR1)

    def line_is_in_the_new_file():
        dial(server).get("/after")
        return path.exists() and "/after\n" in path.read_text()

    eventually(line_is_in_the_new_file)
    assert "/before" not in path.read_text()


def test_a_full_disk_costs_lines_but_no_request(serve, dial):
    server = serve("hello", "--access-logfile", "/dev/full")
    peer = dial(server)
    assert [peer.get("/").status for _ in range(3)] == [200, 200, 200]
