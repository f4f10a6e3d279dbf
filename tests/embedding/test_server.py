"""`oxicorn.Server` between `start()` and `stop()`, on a thread of its own."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import oxicorn
from apps.hello import app as hello
from support import eventually
from support.server import TESTS
from support.wait import PATIENCE

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def whoami(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_PORT"].encode()]


def fails(environ, start_response):
    raise RuntimeError("the application's own fault")


def endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    while True:
        yield b"x" * 1000


def fetch(server):
    with urllib.request.urlopen(server.url, timeout=60) as response:
        return response.read()


def refused(address):
    try:
        socket.create_connection(address, timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def test_serves_between_start_and_stop():
    server = oxicorn.Server(hello, port=0)
    assert not server.is_running
    server.start()
    try:
        assert server.is_running
        assert server.address == ("127.0.0.1", server.port)
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert fetch(server) == b"hello\n"
        address = server.address
    finally:
        server.stop()
    assert not server.is_running
    assert refused(address)


def test_context_manager():
    with oxicorn.Server(hello, port=0) as server:
        assert fetch(server) == b"hello\n"
    assert repr(server) == "<oxicorn.Server stopped>"


def test_fifty_lives_leave_nothing():
    """The fixture of this directory looks for threads and descriptors afterwards."""
    server = oxicorn.Server(hello, port=0, threads=3)
    for _ in range(50):
        with server:
            assert fetch(server) == b"hello\n"


def test_the_application_is_let_go():
    class App:
        def __call__(self, environ, start_response):
            return hello(environ, start_response)

    def alive():
        gc.collect()
        return [found for found in gc.get_objects() if type(found).__name__ == "App"]

    server = oxicorn.Server(App(), port=0)
    with server:
        fetch(server)
    assert len(alive()) == 1
    del server
    assert alive() == []


def test_start_twice_is_refused():
    with oxicorn.Server(hello, port=0) as server:
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        assert fetch(server) == b"hello\n"


def test_stop_without_start_does_nothing():
    server = oxicorn.Server(hello, port=0)
    server.stop()
    server.stop(graceful=False)
    with pytest.raises(RuntimeError, match="not running"):
        assert server.port


def test_several_servers_at_a_time():
    with (
        oxicorn.Server(whoami, port=0) as one,
        oxicorn.Server(whoami, port=0) as two,
        oxicorn.Server(hello, port=0) as three,
    ):
        for server in (one, two):
            assert fetch(server) == str(server.port).encode()
        assert fetch(three) == b"hello\n"
        one.stop()
        assert fetch(two) == str(two.port).encode()


def test_address_that_is_taken():
    with oxicorn.Server(hello, port=0) as server:
        other = oxicorn.Server(hello, port=server.port)
        with pytest.raises(OSError, match="in use"):
            other.start()
        assert not other.is_running
        assert fetch(server) == b"hello\n"


@pytest.mark.parametrize("threads", [1, 4])
def test_concurrent_requests(threads):
    with (
        oxicorn.Server(hello, port=0, threads=threads) as server,
        ThreadPoolExecutor(16) as pool,
    ):
        assert set(pool.map(lambda _: fetch(server), range(200))) == {b"hello\n"}


def test_threads_run_the_application_at_the_same_time():
    together = threading.Barrier(3)

    def app(environ, start_response):
        together.wait(60)
        return hello(environ, start_response)

    with (
        oxicorn.Server(app, port=0, threads=3) as server,
        ThreadPoolExecutor(3) as pool,
    ):
        assert list(pool.map(lambda _: fetch(server), range(3))) == [b"hello\n"] * 3


def test_exception_is_answered_and_logged(capfd):
    with oxicorn.Server(fails, port=0) as server:
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(server)
        assert caught.value.code == 500
        caught.value.close()
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(server)
        caught.value.close()
    log = capfd.readouterr().err
    assert log.count("RuntimeError: the application's own fault") == 2


def test_unix_socket(tmp_path, talk):
    path = tmp_path / "http.sock"
    with oxicorn.Server(hello, bind=f"unix:{path}") as server:
        assert server.address == str(path)
        assert talk(server.address).get().body == b"hello\n"
        with pytest.raises(RuntimeError, match="no port"):
            assert server.port
    assert not path.exists()


def test_several_addresses(tmp_path, talk):
    path = tmp_path / "http.sock"
    with oxicorn.Server(hello, bind=[f"unix:{path}", "127.0.0.1:0"]) as server:
        assert server.addresses == [str(path), ("127.0.0.1", server.port)]
        for address in server.addresses:
            assert talk(address).get().body == b"hello\n"


def test_graceful_stop_lets_a_request_finish(gate, talk):
    with oxicorn.Server(gate, port=0) as server:
        peer = talk(server.address)
        peer.send(REQUEST)
        gate.wait_inside()
        address = server.address
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(server.stop)
            eventually(lambda: refused(address))
            assert not stopped.done()
            gate.opened.set()
            stopped.result(PATIENCE)
        assert peer.response().body == b"done"


@pytest.mark.parametrize("threads", [1, 3])
def test_quick_stop_cuts_the_client_and_waits_for_the_application(gate, talk, threads):
    with oxicorn.Server(gate, port=0, threads=threads) as server:
        address = server.address
        peer = talk(address)
        peer.send(REQUEST)
        gate.wait_inside()
        with pytest.raises(TimeoutError):
            server.stop(graceful=False, timeout=0.1)
        assert peer.closed_by_server()
        assert server.is_running
        gate.opened.set()
        server.stop(graceful=False)
        assert refused(address)


@pytest.mark.parametrize("options", [{"graceful": False}, {"graceful": True}])
def test_stop_ends_an_endless_response(talk, options):
    with oxicorn.Server(endless, port=0, graceful_timeout=1) as server:
        peer = talk(server.address)
        peer.send(REQUEST)
        assert peer.head().status == 200
        server.stop(**options)


def test_idle_connections_do_not_hold_up_a_stop(talk):
    with oxicorn.Server(hello, port=0) as server:
        peer = talk(server.address)
        assert peer.get().body == b"hello\n"
        server.stop()
        assert peer.closed_by_server()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_application_may_stop_its_server(threads):
    def app(environ, start_response):
        server.stop()
        return hello(environ, start_response)

    server = oxicorn.Server(app, port=0, threads=threads)
    server.start()
    try:
        assert fetch(server) == b"hello\n"
        eventually(lambda: not server.is_running)
    finally:
        server.stop()


def test_stop_from_many_threads():
    for _ in range(10):
        server = oxicorn.Server(hello, port=0)
        server.start()
        with ThreadPoolExecutor(8) as pool:
            for stopping in [pool.submit(server.stop) for _ in range(8)]:
                stopping.result(PATIENCE)
        assert not server.is_running


def test_run_on_another_thread():
    server = oxicorn.Server(hello, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.is_running)
    assert fetch(server) == b"hello\n"
    server.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_started_and_stopped_by_threads_that_are_gone():
    server = oxicorn.Server(hello, port=0, threads=2)
    for action in (server.start, server.stop, server.start):
        thread = threading.Thread(target=action)
        thread.start()
        thread.join(PATIENCE)
    assert fetch(server) == b"hello\n"
    server.stop()


def test_beside_an_event_loop_that_runs():
    """As in a cell of a notebook: the thread that starts and stops it belongs to asyncio."""

    async def cell():
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        server = oxicorn.Server(hello, port=0)
        server.start()
        assert await asyncio.to_thread(fetch, server) == b"hello\n"
        server.stop()
        with oxicorn.WSGIServer(("127.0.0.1", 0), hello) as another:
            assert await asyncio.to_thread(fetch, another) == b"hello\n"
        forever = oxicorn.WSGIServer(("127.0.0.1", 0), hello)
        serving = asyncio.create_task(asyncio.to_thread(forever.serve_forever))
        while not forever.is_running:
            await asyncio.sleep(0)
        assert await asyncio.to_thread(fetch, forever) == b"hello\n"
        forever.stop()
        await asyncio.wait_for(serving, PATIENCE)
        assert signal.set_wakeup_fd(wakeup) == wakeup

    asyncio.run(cell())


def test_program_that_forgets_to_stop_ends_all_the_same(tmp_path):
    program = (
        "import oxicorn, urllib.request\n"
        "from apps.hello import app\n"
        "servers = [oxicorn.Server(app, port=0, threads=n) for n in (1, 3)]\n"
        "for server in servers:\n"
        "    server.start()\n"
        "    print(urllib.request.urlopen(server.url).read())\n"
    )
    done = run(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "b'hello\\n'\n" * 2


def test_forked_child_leaves_the_server_alone(tmp_path):
    program = (
        "import os, oxicorn, sys, urllib.request\n"
        "from apps.hello import app\n"
        "server = oxicorn.Server(app, port=0)\n"
        "server.start()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    assert not server.is_running\n"
        "    server.stop()\n"
        "    with server:\n"
        "        urllib.request.urlopen(server.url).close()\n"
        "    sys.exit(5)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5\n"
        "print(urllib.request.urlopen(server.url).read())\n"
        "server.stop()\n"
    )
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout) == (0, "b'hello\\n'\n"), done.stderr


def run(program, folder):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={"PYTHONPATH": str(TESTS)},
    )
