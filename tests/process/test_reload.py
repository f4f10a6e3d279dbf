"""HUP: new settings and new code, and nobody notices but those who asked for it."""

from __future__ import annotations

import signal
import threading
import time

from support import Peer, eventually

APP = """
def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'%s']
"""


class Load(threading.Thread):
    """Asks again and again on new and kept connections, and keeps what went wrong."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.done = threading.Event()
        self.answers = []
        self.failures = []

    def run(self):
        while not self.done.is_set():
            try:
                with Peer(self.server.connect()) as peer:
                    for _ in range(3):
                        response = peer.get()
                        self.answers.append((response.status, response.body))
                        if response.closes:
                            break
            except Exception as failure:
                self.failures.append(repr(failure))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def test_no_request_fails(serve, tmp_path):
    (tmp_path / "shop.py").write_text(APP % "one")
    server = serve("shop:app", workers=2, cwd=tmp_path)
    with Load(server) as load, Load(server) as more:
        for _ in range(8):
            before = server.log().count("Worker exiting")
            server.signal(signal.SIGHUP)
            eventually(lambda before=before: server.log().count("Worker exiting") >= before + 2)
    assert not load.failures + more.failures
    assert {status for status, _ in load.answers + more.answers} == {200}


def test_new_code_is_served(serve, dial, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text(APP % "one")
    server = serve("shop:app", cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"})
    with dial(server) as peer:
        assert peer.get().body == b"one"
    source.write_text(APP % "two")
    server.signal(signal.SIGHUP)

    def is_new():
        with dial(server) as peer:
            return peer.get().body == b"two"

    eventually(is_new)


def test_broken_code_keeps_the_old_workers(serve, dial, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text(APP % "one")
    server = serve("shop:app", workers=2, cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"})
    eventually(lambda: len(server.workers()) == 2)
    with dial(server) as peer:
        assert peer.get().body == b"one"
    old = set(server.workers())
    source.write_text("raise RuntimeError('broken on purpose')\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "Reload failed: Worker failed to boot." in server.log())
    assert "broken on purpose" in server.log()
    eventually(lambda: set(server.workers()) == old)
    with dial(server) as peer:
        assert peer.get().body == b"one"


def test_broken_settings_keep_the_old_ones(serve, dial, tmp_path):
    config = tmp_path / "settings.py"
    config.write_text("workers = 1\n")
    server = serve("whoami", "-c", str(config))
    with dial(server) as peer:
        first = peer.get().body
    config.write_text("graceful_timeout = 'soon'\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "Reload failed" in server.log())
    with dial(server) as peer:
        assert peer.get().body == first


def test_a_burst_of_reloads_ends_with_one_set(serve):
    server = serve("whoami", workers=2)
    eventually(lambda: len(server.workers()) == 2)
    first = set(server.workers())
    for _ in range(10):
        server.signal(signal.SIGHUP)
        time.sleep(0.01)
    eventually(lambda: len(server.workers()) == 2 and not first & set(server.workers()))
