"""Configurations of Python's logging: dictionary, JSON and ini, and their order."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from support import eventually

INI = """
[loggers]
keys=root, error, access
[handlers]
keys=errors, lines
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=
[logger_error]
level=INFO
handlers=errors
propagate=0
qualname=gunicorn.error
[logger_access]
level=INFO
handlers=lines
propagate=0
qualname=gunicorn.access
[handler_errors]
class=FileHandler
formatter=plain
args=('%(here)s/errors.log',)
[handler_lines]
class=FileHandler
formatter=plain
args=('%(here)s/lines.log',)
[formatter_plain]
format=ini %(name)s %(message)s
"""


def dictionary(folder, word="dict"):
    """The same as a dictionary."""

    def file(name):
        path = str(folder / name)
        return {"class": "logging.FileHandler", "formatter": "plain", "filename": path}

    return {
        "version": 1,
        "handlers": {"errors": file("errors.log"), "lines": file("lines.log")},
        "root": {"level": "INFO", "handlers": []},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["errors"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["lines"], "propagate": False},
        },
        "formatters": {"plain": {"format": f"{word} %(name)s %(message)s"}},
    }


def write(folder, way):
    """A configuration of each kind: the options that name it, and its first word."""
    if way == "logconfig":
        (folder / "logging.ini").write_text(INI)
        return ["--log-config", str(folder / "logging.ini")], "ini"
    if way == "logconfig_json":
        (folder / "logging.json").write_text(json.dumps(dictionary(folder, "json")))
        return ["--log-config-json", str(folder / "logging.json")], "json"
    (folder / "gunicorn.conf.py").write_text(f"logconfig_dict = {dictionary(folder)!r}\n")
    return [], "dict"


@pytest.fixture
def start(serve, tmp_path):
    """A server whose logs are files in `tmp_path`."""

    def with_options(*options, **more):
        server = serve("hello", *options, cwd=tmp_path, announced=False, bind=unix, **more)
        return server

    unix = f"unix:{tmp_path}/http.sock"
    return with_options


@pytest.mark.parametrize("way", ["logconfig", "logconfig_dict", "logconfig_json"])
def test_both_logs_go_where_it_says(start, dial, tmp_path, way):
    options, word = write(tmp_path, way)
    server = start(*options, "--access-logformat", "%(m)s %(U)s %(s)s")
    errors, lines = tmp_path / "errors.log", tmp_path / "lines.log"
    assert dial(server).get("/there").status == 200
    eventually(lambda: lines.read_text() == f"{word} gunicorn.access GET /there 200\n")
    assert f"{word} gunicorn.error Listening at: unix:" in errors.read_text()
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    eventually(lambda: f"{word} gunicorn.error Invalid request from " in errors.read_text())
    assert server.stop() == 0
    assert f"{word} gunicorn.error Worker exiting (pid: " in errors.read_text()
    assert errors.read_text().endswith(f"{word} gunicorn.error Shutting down: Master\n")
    assert "Listening at" not in server.log()


def test_the_dictionary_comes_before_json_and_json_before_ini(start, dial, tmp_path):
    options = write(tmp_path, "logconfig")[0]
    start(*options).stop()
    assert "ini " in (tmp_path / "errors.log").read_text()
    options += write(tmp_path, "logconfig_json")[0]
    start(*options).stop()
    assert "json " in (tmp_path / "errors.log").read_text()
    write(tmp_path, "logconfig_dict")
    start(*options).stop()
    text = (tmp_path / "errors.log").read_text()
    assert [word for word in ("ini ", "json ", "dict ") if word in text.splitlines()[-1]] == [
        "dict "
    ]


def test_a_dictionary_may_leave_out_what_it_does_not_change(serve, dial, tmp_path):
    change = {"formatters": {"generic": {"format": "mine %(message)s"}}}
    (tmp_path / "gunicorn.conf.py").write_text(f"logconfig_dict = {change!r}\n")
    server = serve("hello", cwd=tmp_path)
    assert "mine Listening at: " in server.log()
    assert dial(server).get("/").status == 200
    eventually(lambda: "mine 127.0.0.1 - - " in server.access_log())


def test_access_lines_need_no_accesslog(start, dial, tmp_path):
    options = write(tmp_path, "logconfig")[0]
    server = start(*options, env={"OXICORN_ACCESSLOG": ""})
    assert dial(server).get("/").status == 200
    eventually(lambda: "GET / HTTP/1.1" in (tmp_path / "lines.log").read_text())


def test_usr1_opens_every_file_anew(start, dial, tmp_path):
    options = write(tmp_path, "logconfig")[0]
    server = start(*options)
    paths = [tmp_path / "errors.log", tmp_path / "lines.log"]
    dial(server).get("/before")
    eventually(lambda: "/before" in paths[1].read_text())
    for path in paths:
        path.rename(f"{path}.1")
    server.signal(signal.SIGUSR1)

    def line_is_in_the_new_file():
        dial(server).get("/after")
        return paths[1].exists() and "/after" in paths[1].read_text()

    eventually(line_is_in_the_new_file)
    assert server.stop() == 0
    assert "Shutting down" in paths[0].read_text()
    assert "Listening at" not in paths[0].read_text()


JSON_LOGGER = {
    "version": 1,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json"},
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        name: {"level": "INFO", "handlers": ["console"], "propagate": False}
        for name in ("gunicorn.error", "gunicorn.access")
    },
}


def test_python_json_logger(serve, dial, tmp_path):
    pytest.importorskip("pythonjsonlogger")
    (tmp_path / "gunicorn.conf.py").write_text(f"logconfig_dict = {JSON_LOGGER!r}\n")
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    1 / 0\n")
    server = serve("broken:app", cwd=tmp_path)
    assert dial(server).get("/there").status == 500

    def found(name):
        lines = [json.loads(line) for line in server.log().splitlines()]
        return [line for line in lines if line["name"] == name]

    (line,) = eventually(lambda: found("gunicorn.access"))
    assert '"GET /there HTTP/1.1" 500' in line["message"]
    (failure,) = [line for line in found("gunicorn.error") if line["levelname"] == "ERROR"]
    assert failure["message"] == "Error handling request GET /there"
    assert failure["exc_info"].endswith("ZeroDivisionError: division by zero")


def test_our_json_formatter_in_a_configuration(serve, dial, tmp_path):
    change = {
        "formatters": {
            "generic": {"()": "oxicorn.logger.JsonFormatter"},
            "line": {"()": "oxicorn.logger.JsonAccessFormatter"},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "line"},
            "error_console": {"class": "logging.StreamHandler", "formatter": "generic"},
        },
        "root": {"handlers": []},
    }
    (tmp_path / "gunicorn.conf.py").write_text(f"logconfig_dict = {change!r}\n")
    server = serve("hello", cwd=tmp_path)
    assert dial(server).get("/there?a=b").status == 200

    def lines():
        return [json.loads(line) for line in server.log().splitlines()]

    (line,) = eventually(lambda: [line for line in lines() if "status" in line])
    del line["time"], line["pid"], line["duration_us"], line["host"]
    assert line == {
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/there",
        "query": "a=b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 6,
    }
    assert any(line.get("message", "").startswith("Listening at: ") for line in lines())


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--log-config", None, "logconfig: [Errno 2] No such file or directory: "),
        ("--log-config", "nonsense", "logconfig: "),
        ("--log-config-json", None, "logconfig_json: [Errno 2] No such file or directory: "),
        ("--log-config-json", "{", "logconfig_json: Expecting property name"),
        (
            "--log-config-json",
            '{"handlers": {"console": {"class": "no.Handler"}}}',
            "logconfig_json: Unable to configure handler 'console': ",
        ),
    ],
)
def test_a_configuration_that_is_wrong_stops_the_start(oxicorn, tmp_path, option, content, said):
    path = tmp_path / "wrong"
    if content is not None:
        path.write_text(content)
    done = oxicorn(option, str(path), "-b", "127.0.0.1:0", "apps.hello:app")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root has a user to give up")
def test_workers_of_another_user_can_open_the_files_again(serve, dial):
    with tempfile.TemporaryDirectory() as name:  # pytest's own is for root only
        folder = Path(name)
        folder.chmod(0o777)
        bind = f"unix:{folder}/http.sock"
        options = [*write(folder, "logconfig")[0], "--user", "nobody"]
        server = serve("hello", *options, announced=False, bind=bind)
        lines = folder / "lines.log"
        dial(server).get("/before")
        eventually(lambda: "/before" in lines.read_text())
        lines.rename(f"{lines}.1")
        server.signal(signal.SIGUSR1)

        def line_is_in_the_new_file():
            dial(server).get("/after")
            return lines.exists() and "/after" in lines.read_text()

        eventually(line_is_in_the_new_file)
        assert server.stop() == 0
