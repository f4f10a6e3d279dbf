"""Settings by keyword: what is wrong is refused where it is written."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

import oxicorn
from apps.hello import app as hello


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match="unknown setting `thread`; did you mean `threads`"):
        oxicorn.Server(hello, thread=2)
    with pytest.raises(TypeError, match=r"unknown setting `xyzzy`$"):
        oxicorn.serve(hello, xyzzy=2)


def test_wrong_value_is_refused():
    with pytest.raises(oxicorn.SettingError, match="threads: expected"):
        oxicorn.Server(hello, threads="many")
    with pytest.raises(oxicorn.SettingError, match="port between 0 and 65535"):
        oxicorn.Server(hello, port=65536)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 2),
        ("pidfile", "/tmp/x.pid"),
        ("user", "nobody"),
        ("timeout", 5),
        ("max_requests", 10),
        ("pre_request", lambda worker, request: None),
        ("on_exit", lambda server: None),
    ],
)
def test_what_needs_a_master_is_refused(name, value):
    with pytest.raises(TypeError, match=f"`{name}`: only a master process"):
        oxicorn.Server(hello, **{name: value})


def test_what_a_master_would_not_do_either_is_welcome():
    oxicorn.Server(hello, workers=1, timeout=0, max_requests=0, user=None)


def test_what_belongs_to_the_command_line_is_refused():
    with pytest.raises(TypeError, match="`chdir` belongs to the command line"):
        oxicorn.Server(hello, chdir="/")


def test_setting_without_effect_is_warned_of():
    with pytest.warns(UserWarning, match="worker_tmp_dir: has no effect") as caught:
        oxicorn.Server(hello, worker_tmp_dir="/tmp")
    assert [warning.filename for warning in caught] == [__file__]


def test_bind_and_port_contradict():
    with pytest.raises(TypeError, match="either `bind` or `host` and `port`"):
        oxicorn.Server(hello, port=1, bind="unix:/tmp/x")


def test_application_must_be_callable():
    with pytest.raises(TypeError, match="not callable"):
        oxicorn.Server("apps.hello:app")  # type: ignore[arg-type]


def test_the_environment_of_the_process_is_not_read(monkeypatch, talk):
    monkeypatch.setenv("OXICORN_BIND", "127.0.0.1:1")
    monkeypatch.setenv("OXICORN_SERVER_HEADER", "other")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with oxicorn.Server(hello, port=0) as server:
        assert talk(server.address).get().get("Server") == "oxicorn"


def test_settings_have_their_effect(talk):
    with oxicorn.Server(hello, port=0, server_header="mine", limit_request_line=20) as server:
        peer = talk(server.address)
        assert peer.get().get("Server") == "mine"
        assert peer.get("/" + 30 * "x").status == 414


def test_access_log_belongs_to_the_server_that_names_it(tmp_path, talk):
    log = tmp_path / "access"
    with (
        oxicorn.Server(hello, port=0, accesslog=str(log), access_log_format="%(U)s") as logged,
        oxicorn.Server(hello, port=0) as quiet,
    ):
        for server, path in ((logged, "/one"), (quiet, "/two"), (logged, "/three")):
            assert talk(server.address).get(path).status == 200
    assert log.read_text() == "/one\n/three\n"


def test_ipv6(talk):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    server = oxicorn.Server(hello, host="::1", port=0)
    try:
        server.start()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with socket.create_connection(("::1", server.port), timeout=30) as peer:
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in peer.recv(4096)
    server.stop()


@pytest.mark.parametrize("form", ["tuple", "text", "socket", "unix"])
def test_wsgi_server_takes_what_others_take(form, tmp_path, talk):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        listener = {
            "tuple": ("127.0.0.1", 0),
            "text": "127.0.0.1:0",
            "socket": sock,
            "unix": f"unix:{tmp_path}/http.sock",
        }[form]
        with oxicorn.WSGIServer(listener, hello, threads=2) as server:
            assert talk(server.address).get().body == b"hello\n"


@pytest.mark.parametrize("listener", [("", 0), ":0", 0, "0"])
def test_wsgi_server_on_all_addresses(listener, talk):
    with oxicorn.WSGIServer(listener, hello) as server:
        assert server.address == ("0.0.0.0", server.port)
        assert talk(("127.0.0.1", server.port)).get().body == b"hello\n"


def test_import_has_no_effects():
    program = (
        "import signal, sys, threading, atexit, logging, os\n"
        "before = [signal.getsignal(n) for n in signal.valid_signals()]\n"
        "descriptors = os.listdir('/proc/self/fd')\n"
        "at_exit = atexit._ncallbacks()\n"
        "import oxicorn\n"
        "assert before == [signal.getsignal(n) for n in signal.valid_signals()]\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
        "assert threading.active_count() == 1\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "assert len(os.listdir('/proc/self/fd')) == len(descriptors)\n"
        "assert atexit._ncallbacks() == at_exit\n"
        "assert not logging.root.handlers\n"
    )
    subprocess.run([sys.executable, "-I", "-c", program], check=True, timeout=120)
