"""Where a server can listen."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys

from support import Peer, eventually
from support.server import command, environment


def answers(connection):
    with Peer(connection) as peer:
        connection.settimeout(30)
        return peer.get().status == 200


def test_unix_socket(serve, dial, tmp_path):
    path = tmp_path / "app.sock"
    server = serve("hello", "--umask", "0o117", bind=f"unix:{path}")
    assert server.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with dial(server) as peer:
        assert peer.get().status == 200
    assert server.stop() == 0
    assert not path.exists()


def test_stale_unix_socket_is_replaced_and_a_file_is_not(serve, dial, oxicorn, tmp_path):
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = serve("hello", bind=f"unix:{path}")
    with dial(server) as peer:
        assert peer.get().status == 200
    file = tmp_path / "file"
    file.write_text("precious")
    done = oxicorn("-b", f"unix:{file}", "apps.hello:app")
    assert done.returncode == 1
    assert file.read_text() == "precious"


def test_abstract_unix_socket(serve):
    name = f"oxicorn-{os.getpid()}"
    serve("hello", bind=f"unix:@{name}")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{name}")
        assert answers(connection)


def test_several(serve, tmp_path):
    path = tmp_path / "second.sock"
    server = serve("hello", "--bind", "127.0.0.1:0", bind=f"unix:{path}")
    port = re.search(r"http://127\.0\.0\.1:(\d+)", server.log())[1]
    assert answers(socket.create_connection(("127.0.0.1", int(port)), timeout=30))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        assert answers(connection)
    said = re.search(r"Listening at: (.+) \(\d+\)", server.log())[1]
    assert set(said.split(",")) == {f"http://127.0.0.1:{port}", f"unix:{path}"}


def test_ipv6(serve, dial):
    server = serve("hello", bind="[::1]:0")
    assert server.url.startswith("http://[::1]:")
    with dial(server) as peer:
        assert peer.get().status == 200


def test_adopted_descriptor(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            [*command(), "-b", f"fd://{number}", "apps.hello:app"],
            pass_fds=[number],
            stderr=log,
            env=environment(),
        )
        try:
            assert answers(socket.create_connection(listener.getsockname(), timeout=60))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            log.close()


def test_reload_moves_to_another_address(serve, tmp_path):
    first, second = tmp_path / "first.sock", tmp_path / "second.sock"
    config = tmp_path / "settings.py"
    config.write_text(f"bind = 'unix:{first}'\n")
    server = serve("hello", "-c", str(config), bind=None)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(first))
        assert answers(connection)
    config.write_text(f"bind = 'unix:{second}'\n")
    server.signal(signal.SIGHUP)
    eventually(second.exists)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(second))
        assert answers(connection)
    eventually(lambda: not first.exists())


ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[2], sys.argv[2:])
"""

NO_NUMBER = """
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="two")
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_activation_with_no_number_is_an_error(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", NO_NUMBER, *command(), "apps.hello:app"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=60,
    )
    assert process.returncode == 1
    assert "LISTEN_FDS is 'two', not a number of sockets" in process.stderr
    assert "Traceback" not in process.stderr


LISTENING = """
import os

def app(environ, start_response):
    page = ' '.join(name for name in os.environ if name.startswith('LISTEN_')).encode()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


def test_socket_activation(tmp_path):
    (tmp_path / "listening.py").write_text(LISTENING)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        log = (tmp_path / "log").open("wb")
        launcher = [sys.executable, "-c", ACTIVATED, str(number)]
        process = subprocess.Popen(
            [*launcher, *command(), "-b", "127.0.0.1:1", "listening:app"],
            pass_fds=[number],
            stderr=log,
            env=environment(),
            cwd=tmp_path,
        )
        try:
            with Peer(socket.create_connection(listener.getsockname(), timeout=60)) as peer:
                assert peer.get().body == b""
            process.send_signal(signal.SIGHUP)
            said = tmp_path / "log"
            eventually(lambda: said.read_text().count("Booting worker") == 2)
            with Peer(socket.create_connection(listener.getsockname(), timeout=60)) as peer:
                assert peer.get().status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            log.close()


def test_reuse_port_lets_two_servers_share(serve, dial):
    first = serve("whoami", "--reuse-port")
    second = serve("whoami", "--reuse-port", bind=f"127.0.0.1:{first.port}")

    def both():
        with dial(first) as peer:
            seen.add(int(peer.get().body))
        return len(seen) == 2

    seen = set()
    eventually(both)
    assert seen == {*first.workers(), *second.workers()}
