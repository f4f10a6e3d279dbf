"""Syslog over every transport, with real sockets."""

from __future__ import annotations

import json
import re

import pytest

from support import eventually

ADDRESSES = {"udp": "udp://{}", "tcp": "tcp://{}", "dgram": "unix://{}", "stream": "unix://{}"}
# RFC 3164: facility * 8 + severity; `user` is 1, `local3` is 19.
INFO, LOCAL3_WARNING = "<14>", "<156>"


def options_of(place, way, *more):
    return ["--log-syslog", "--log-syslog-to", ADDRESSES[way].format(place), *more]


@pytest.mark.parametrize("way", ["udp", "tcp", "dgram", "stream"])
@pytest.mark.parametrize("suffix", ["", "named"])
def test_both_logs_arrive(serve, dial, listen, way, suffix):
    if suffix and way in ("udp", "tcp"):
        pytest.skip("only paths can be either")
    place, ear = listen(way)
    place += f"#{way}" if suffix else ""
    options = options_of(place, way, "--access-logformat", "%(m)s %(U)s %(s)s")
    server = serve("hello", *options)
    assert dial(server).get("/there").status == 200
    (worker,) = server.workers()
    access = f"{INFO}gunicorn.apps.hello.app.access: [{worker}] GET /there 200\0"
    eventually(lambda: access in ear.text())
    errors = f"{INFO}gunicorn.apps.hello.app.error: [{server.pid}] Listening at: {server.url} "
    eventually(lambda: errors in ear.text())
    # The files stay what they are.
    assert "[INFO] Listening at: " in server.log()
    assert eventually(server.access_log) == "GET /there 200\n"
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    eventually(
        lambda: re.search(r"<12>gunicorn\.\S+: \[\d+\] Invalid request from ip=", ear.text())
    )


def test_prefix_and_facility(serve, dial, listen):
    place, ear = listen("udp")
    more = ["--log-syslog-prefix", "shop", "--log-syslog-facility", "LOCAL3"]
    server = serve("hello", *options_of(place, "udp", *more))
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    wanted = rf"{LOCAL3_WARNING}gunicorn\.shop\.error: \[\d+\] Invalid request"
    eventually(lambda: re.search(wanted, ear.text()))


def test_access_lines_can_be_kept_out(serve, dial, listen):
    place, ear = listen("udp")
    server = serve("hello", *options_of(place, "udp", "--disable-redirect-access-to-syslog"))
    assert dial(server).get("/there").status == 200
    eventually(server.access_log)
    assert server.stop() == 0
    eventually(lambda: "Shutting down: Master" in ear.text())
    assert "/there" not in ear.text()


def test_json_inside(serve, dial, listen):
    place, ear = listen("udp")
    server = serve("hello", *options_of(place, "udp", "--log-format", "json"))
    assert dial(server).get("/there").status == 200
    eventually(lambda: "/there" in ear.text())
    found = [text.partition(": ")[2].rstrip("\0") for text in ear.datagrams]
    lines = [json.loads(line) for line in found]
    assert any(line.get("message", "").startswith("Listening at: ") for line in lines)
    assert any(line.get("path") == "/there" and line["status"] == 200 for line in lines)
    assert json.loads(eventually(server.access_log))["path"] == "/there"


def test_a_server_that_went_is_found_again(serve, dial, listen, tmp_path):
    place, ear = listen("stream")
    server = serve("hello", *options_of(place, "stream", "--access-logformat", "%(U)s"))
    assert dial(server).get("/one").status == 200
    eventually(lambda: "/one" in ear.text())
    ear.close()
    assert dial(server).get("/two").status == 200
    (tmp_path / "stream.sock").unlink()
    _, again = listen("stream")

    def arrives():
        assert dial(server).get("/three").status == 200
        return "/three" in again.text()

    eventually(arrives)
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log-syslog-to", "here"], "syslog_addr: expected udp://HOST:PORT, "),
        (["--log-syslog-to", "udp://here:port"], "syslog_addr: expected udp://HOST:PORT, "),
        (["--log-syslog-to", "unix:///none#pipe"], "syslog_addr: expected udp://HOST:PORT, "),
        (["--log-syslog-to", "unix:///none/here"], "syslog_addr: cannot connect to "),
        (["--log-syslog-facility", "none"], "syslog_facility: expected one of "),
    ],
)
def test_what_is_wrong_stops_the_start(oxicorn, options, said):
    done = oxicorn("--log-syslog", *options, "-b", "127.0.0.1:0", "apps.hello:app")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
