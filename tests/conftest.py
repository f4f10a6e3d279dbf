"""Fixtures of the black-box tests; the work is done in `support`."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from support import hosts
from support.peer import Peer
from support.server import TESTS, Server, command, environment

_SERVERS = pytest.StashKey[list[Server]]()

# Hides an installed gunicorn from the server.
_HIDE = """
from importlib.machinery import PathFinder

real = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition('.')[0] == 'gunicorn' else real(name, path, target)

PathFinder.find_spec = staticmethod(find_spec)
"""


class Serve(Protocol):
    """The `serve` fixture; see there."""

    def __call__(
        self,
        app: str | None,
        *options: str,
        workers: int = 1,
        bind: str | None = "127.0.0.1:0",
        announced: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        exit_status: int | None = 0,
    ) -> Server: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of the engine itself once per host."""
    if "under" in metafunc.fixturenames and hosts.runs_again(metafunc.definition.nodeid):
        there = [host for host in hosts.HOSTS if host.is_there]
        names = [host.name for host in there]
        metafunc.parametrize("under", there, indirect=True, scope="module", ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what need not run on a foreign loop; keeps the rest of a file on one worker, so
    that its servers are started once."""
    cases: dict[tuple[str, str], list[str]] = {}
    for item in items:
        host = _host_of(item)
        if host is not None and host.is_foreign:
            test = item.nodeid.partition("[")[0]
            cases.setdefault((test, host.name), []).append(item.nodeid)
            item.add_marker(pytest.mark.xdist_group(f"{test.partition('::')[0]} {host.name}"))
    out = set().union(*map(hosts.left_out, cases.values()))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in out])
    items[:] = [item for item in items if item.nodeid not in out]


def _host_of(item: pytest.Item) -> hosts.Host | None:
    call = getattr(item, "callspec", None)
    return call.params.get("under") if call else None


def _primitives() -> list[object]:
    return [time.sleep, socket.socket, threading.Thread, vars(threading)["_start_new_thread"]]


_UNPATCHED = _primitives()


@pytest.fixture(autouse=True)
def _leaves_the_process_unpatched() -> Iterator[None]:
    """Green threads belong into programs of their own: here, whatever waits in a thread of a later
    test would stand still."""
    yield
    assert _primitives() == _UNPATCHED, "this test has patched threads or sockets"


@pytest.fixture(scope="module")
def under(request: pytest.FixtureRequest) -> hosts.Host:
    """What the servers of a test run under; more than one where `hosts` says so."""
    chosen: hosts.Host = getattr(request, "param", hosts.NATIVE)
    return chosen


def _serve(
    node: pytest.Item | pytest.Collector, factory: pytest.TempPathFactory, under: hosts.Host
) -> Iterator[Serve]:
    servers = node.stash.setdefault(_SERVERS, [])

    def start(
        app: str | None,
        *options: str,
        workers: int = 1,
        bind: str | None = "127.0.0.1:0",
        announced: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        exit_status: int | None = 0,
    ) -> Server:
        standard = ["--workers", str(workers), "--access-logfile", "-"]
        server = Server(
            app,
            [*standard, *under.complete(options)],
            folder=factory.mktemp("server"),
            bind=bind,
            env={**under.env, **(env or {})},
            cwd=cwd,
        )
        servers.append(server)
        if announced:
            server.wait_listening(workers)
        else:
            server.wait_accepting()
        server.expected_exit = exit_status
        return server

    yield start
    problems = []
    for server in servers:
        try:
            server.end()
        except AssertionError as problem:
            problems.append(f"{' '.join(server.args)}: {problem}\n{server.log()}")
    servers.clear()
    assert not problems, "\n".join(problems)


@pytest.fixture
def serve(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, under: hosts.Host
) -> Iterator[Serve]:
    """Starts servers, and ends them with the test.

    `serve("hello", "--threads", "4", workers=2)` serves `tests/apps/hello.py` on a free port and
    returns when the workers boot. The access log goes to standard output. `bind=None` leaves the
    address to the options; `announced=False` is for a server whose log goes elsewhere: then `bind`
    needs a real port or a path. The test fails if the server does not end with `exit_status`
    after TERM (None: whatever), or if it panicked.
    """
    yield from _serve(request.node, tmp_path_factory, under)


@pytest.fixture(scope="module")
def serve_module(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, under: hosts.Host
) -> Iterator[Serve]:
    """The same for servers that all tests of a file share."""
    yield from _serve(request.node, tmp_path_factory, under)


@pytest.fixture
def dial() -> Iterator[Callable[..., Peer]]:
    """Opens raw connections to a server, and closes them with the test."""
    peers: list[Peer] = []

    def connect(server: Server, timeout: float = 30.0) -> Peer:
        peer = Peer(server.connect(timeout))
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.socket.close()


@pytest.fixture
def without_gunicorn(tmp_path: Path) -> dict[str, str]:
    """The environment of a server that cannot import gunicorn, whether it is installed or not."""
    folder = tmp_path / "hide"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HIDE)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(TESTS)])}


@pytest.fixture
def oxicorn(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line to its end: `oxicorn("--check-config", "apps.hello:app")`."""

    def run(
        *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(), *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=cwd or tmp_path,
            env=environment(env),
        )

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows what its servers logged."""
    report = yield
    if report.failed:
        for node in item.listchain():
            for server in node.stash.get(_SERVERS, []):
                report.sections.append((f"error log of {' '.join(server.args)}", server.log()))
                report.sections.append(("access log", server.access_log()))
    return report
