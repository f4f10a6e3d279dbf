"""`oxicorn.serve` and `run()` as the main thing of a program, and the signals that end it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import Peer, eventually
from support.server import TESTS, environment

REQUEST = b"GET /20000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("threads", [1, 3])
def test_signal_ends_serve_and_the_program_goes_on(program, number, threads):
    it = program(
        f"""
        import signal
        import oxicorn
        from apps.hello import app

        oxicorn.serve(app, port=0, threads={threads})
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.set_wakeup_fd(-1) == -1
        print("goes on")
        """
    )
    assert it.fetch() == b"hello\n"
    assert it.ends(number) == 0
    assert it.out() == "goes on\n"
    assert "Traceback" not in it.log()


def test_an_interrupt_that_is_ignored_stays_so(program):
    """As in a program that a script starts in the background."""
    it = program(
        """
        import signal
        import oxicorn
        from apps.hello import app

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        oxicorn.serve(app, port=0)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        print("goes on")
        """
    )
    assert it.fetch() == b"hello\n"
    it.signal(signal.SIGINT)
    assert it.fetch() == b"hello\n"
    assert it.ends(signal.SIGTERM) == 0
    assert it.out() == "goes on\n"


def test_serve_forever_ends_on_ctrl_c(program):
    it = program(
        """
        import oxicorn
        from apps.hello import app

        oxicorn.WSGIServer(("127.0.0.1", 0), app).serve_forever()
        """
    )
    assert it.fetch() == b"hello\n"
    assert it.ends(signal.SIGINT) == 0
    assert "Traceback" not in it.log()


def test_the_application_runs_on_the_main_thread(program):
    it = program(
        """
        import threading
        import oxicorn

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [threading.current_thread().name.encode()]

        oxicorn.serve(app, port=0)
        """
    )
    assert it.fetch() == b"MainThread"
    assert it.ends(signal.SIGTERM) == 0


GATED = """
    import os, sys, time
    import oxicorn

    def app(environ, start_response):
        print("inside", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"done"]

    oxicorn.serve(app, port=0, threads=%d)
    print("goes on")
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_term_lets_a_request_finish(program, talk, tmp_path, threads):
    it = program(GATED % threads)
    peer = talk(it.address())
    peer.send(REQUEST)
    eventually(lambda: it.out() == "inside\n")
    it.process.terminate()
    (tmp_path / "go").touch()
    assert peer.response().body == b"done"
    assert it.ends() == 0
    assert it.out().endswith("goes on\n")


def test_second_ctrl_c_breaks_into_the_application(program, talk):
    it = program(GATED % 1)
    peer: Peer = talk(it.address())
    peer.send(REQUEST)
    eventually(lambda: it.out() == "inside\n")
    it.signal(signal.SIGINT)
    assert peer.closed_by_server()
    assert it.ends(signal.SIGINT) == 0
    assert it.out().endswith("goes on\n")


def test_handlers_of_the_program_decide(program):
    it = program(
        """
        import signal, sys
        import oxicorn
        from apps.hello import app

        def leave(number, frame):
            sys.exit(7)

        signal.signal(signal.SIGTERM, leave)
        try:
            oxicorn.serve(app, port=0)
        finally:
            print("cleaned up")
        """
    )
    assert it.fetch() == b"hello\n"
    assert it.ends(signal.SIGTERM) == 7
    assert it.out() == "cleaned up\n"


def test_handler_of_the_program_may_stop_the_server(program):
    it = program(
        """
        import signal
        import oxicorn
        from apps.hello import app

        server = oxicorn.Server(app, port=0)
        signal.signal(signal.SIGTERM, lambda number, frame: server.stop())
        server.run()
        print("goes on")
        """
    )
    assert it.fetch() == b"hello\n"
    assert it.ends(signal.SIGTERM) == 0
    assert it.out() == "goes on\n"


def test_server_on_a_thread_touches_no_signals(program):
    it = program(
        """
        import signal, time
        import oxicorn
        from apps.hello import app

        with oxicorn.Server(app, port=0) as server:
            print(server.port, flush=True)
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            try:
                time.sleep(600)
            except KeyboardInterrupt:
                print("interrupted")
        """
    )
    eventually(it.out)
    assert it.ends(signal.SIGINT) == 0
    assert it.out().endswith("interrupted\n")


def test_workers_make_the_process_a_master(program):
    it = program(
        """
        import os
        import oxicorn

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"%d" % os.getpid()]

        oxicorn.serve(app, port=0, workers=2)
        print("goes on")
        """
    )
    assert int(it.fetch()) != it.process.pid
    eventually(lambda: it.log().count("Booting worker with pid") == 2)
    it.process.send_signal(signal.SIGHUP)
    eventually(lambda: it.log().count("Booting worker with pid") == 4)
    assert int(it.fetch()) != it.process.pid
    assert it.ends(signal.SIGTERM) == 0
    assert it.out() == "goes on\n"


def test_failure_of_the_master_is_told(program, talk):
    first = program("import oxicorn; oxicorn.serve(print, port=0, pidfile='pid')")
    first.address()
    again = subprocess.run(
        [sys.executable, "-c", "import oxicorn; oxicorn.serve(print, port=0, pidfile='pid')"],
        cwd=Path(f"/proc/{first.process.pid}/cwd").resolve(),
        env={**environment(), "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 1
    assert "Already running" in again.stderr
    assert first.ends(signal.SIGTERM) == 0
