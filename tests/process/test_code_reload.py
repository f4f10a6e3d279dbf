"""--reload: what is saved is what is served."""

from __future__ import annotations

import importlib
import os
import queue
import sys
import time

import pytest

from oxicorn import reloader
from support import eventually

APP = """
def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'%s']
"""

FRESH = {"PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def answer(dial):
    """What a server answers; empty when it cannot right now."""

    def ask(server):
        try:
            with dial(server) as peer:
                response = peer.get()
                return response.status, response.body
        except OSError:
            return 0, b""

    return ask


@pytest.mark.parametrize("engine", ["auto", "poll", "inotify"])
def test_changed_code_is_served(serve, answer, tmp_path, engine):
    source = tmp_path / "shop.py"
    source.write_text(APP % "one")
    options = ["--reload", "--reload-engine", engine]
    server = serve("shop:app", *options, workers=2, cwd=tmp_path, env=FRESH)
    eventually(lambda: answer(server) == (200, b"one"))
    for body in ("two", "six"):
        source.write_text(APP % body)
        eventually(lambda body=body: answer(server) == (200, body.encode()))
    assert "shop.py modified" in server.log()
    assert "Warning" not in server.log()


def test_a_mistake_is_shown_and_recovered_from(serve, answer, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text(APP % "one")
    server = serve("shop:app", "--reload", cwd=tmp_path, env=FRESH)
    eventually(lambda: answer(server) == (200, b"one"))
    source.write_text("def app(:\n")
    eventually(lambda: answer(server)[0] == 500)
    page = answer(server)[1].decode()
    assert "SyntaxError" in page
    assert "shop.py" in page
    source.write_text("import no_such_module_at_all\n")
    eventually(lambda: b"no_such_module_at_all" in answer(server)[1])
    source.write_text(APP % "two")
    eventually(lambda: answer(server) == (200, b"two"))


def test_a_start_with_a_mistake_waits_for_its_correction(serve, answer, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text("def app(:\n")
    server = serve("shop:app", "--reload", cwd=tmp_path, env=FRESH)
    eventually(lambda: answer(server)[0] == 500)
    source.write_text(APP % "one")
    eventually(lambda: answer(server) == (200, b"one"))


def test_extra_files_and_hooks(serve, answer, tmp_path):
    (tmp_path / "shop.py").write_text(APP % "one")
    (tmp_path / "texts").mkdir()
    extra = tmp_path / "texts" / "a.txt"
    extra.write_text("old")
    (tmp_path / "settings.py").write_text(
        "def worker_int(worker):\n    worker.log.info('told of it')\n"
    )
    options = ["--reload", "--reload-extra-file", "texts/*.txt", "-c", "settings.py"]
    server = serve("shop:app", *options, cwd=tmp_path, env=FRESH)
    eventually(lambda: answer(server) == (200, b"one"))
    extra.write_text("newer")
    eventually(lambda: "texts/a.txt modified" in server.log())
    eventually(lambda: "told of it" in server.log())
    eventually(lambda: server.log().count("Booting worker") == 2)


def test_preload_has_no_effect_and_says_so(serve, answer, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text(APP % "one")
    server = serve("shop:app", "--reload", "--preload", cwd=tmp_path, env=FRESH)
    eventually(lambda: answer(server) == (200, b"one"))
    assert "preload_app has no effect" in server.log()
    source.write_text(APP % "two")
    eventually(lambda: answer(server) == (200, b"two"))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of its own directory, imported."""
    name = f"watched_{tmp_path.name.replace('-', '_')}"
    path = tmp_path / f"{name}.py"
    path.write_text("one = 1\n")
    long_ago = time.time_ns() - 60_000_000_000
    os.utime(path, ns=(long_ago, long_ago))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(name)
    yield path
    del sys.modules[name]


@pytest.mark.parametrize("how", ["write", "replace", "extra", "directory"])
def test_the_kernel_tells_of_changes(module, monkeypatch, how):
    """The clock tells of nothing here: it would in an hour."""
    monkeypatch.setattr(reloader, "INTERVAL", 3600.0)
    extra = module.parent / "texts"
    extra.mkdir()
    (extra / "a.txt").write_text("old")
    long_ago = time.time_ns() - 60_000_000_000
    for path in (extra / "a.txt", extra):
        os.utime(path, ns=(long_ago, long_ago))
    patterns = {"extra": [str(extra / "*.txt")], "directory": [str(extra)]}.get(how, [])
    told: queue.Queue[str] = queue.Queue()
    thread = reloader.Reloader(patterns, told.put, time.time_ns(), "inotify")
    assert thread.engine == "inotify"
    thread.start()
    if how == "write":
        module.write_text("two = 2\n")
    elif how == "replace":
        (module.parent / "new").write_text("two = 2\n")
        (module.parent / "new").rename(module)
    elif how == "extra":
        (extra / "a.txt").write_text("newer")
    else:
        (extra / "b.txt").touch()
    expected = {"extra": extra / "a.txt", "directory": extra}.get(how, module)
    assert told.get(timeout=60) == str(expected)
    thread.join(60)


def test_modules_that_come_later_are_watched(tmp_path, monkeypatch):
    late = tmp_path / "later" / "late_module_of_the_test.py"
    late.parent.mkdir()
    late.write_text("one = 1\n")
    told: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(reloader, "INTERVAL", 0.05)
    thread = reloader.Reloader([], told.put, time.time_ns(), "auto")
    thread.start()
    monkeypatch.syspath_prepend(str(late.parent))
    importlib.import_module("late_module_of_the_test")
    eventually(lambda: str(late) in thread._seen)
    os.utime(late, ns=(1, 1))
    assert told.get(timeout=60) == str(late)
    thread.join(60)
    del sys.modules["late_module_of_the_test"]


def test_with_poll_nothing_is_watched():
    assert reloader.Reloader([], print, time.time_ns(), "poll").engine == "poll"
