"""The harness of the benchmarks: what counts, and what is left of a run that breaks off."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"

H2LOAD = """
TLS Protocol: TLSv1.3
Application protocol: {protocol}

finished in 1.00s, 4000.00 req/s, 160.00KB/s
requests: 8 total, {done} done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {ok} 2xx, 0 3xx, 0 4xx, {bad} 5xx
"""
FINE = {"protocol": "h2", "done": 4, "succeeded": 4, "failed": 0, "ok": 4, "bad": 0}

READ = """
import sys, tempfile
from pathlib import Path
from harness import h2load, process
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / h2load.LOG).write_text("".join(f"1\\t200\\t{us}\\n" for us in (400, 100, 300, 200)))
    try:
        print(h2load.read(sys.stdin.read(), None, folder))
    except process.Failed as failure:
        print("failed:", failure)
"""

WRK = """
  Latency Distribution
     50%  444.05ms
     99%    1.04s{space}
  437 requests in 1.07s, 67.43KB read
{trouble}
Requests/sec:    409.23
"""

READ_WRK = """
import sys
from harness import process, workloads, wrk
workload = workloads.WORKLOADS_BY_NAME[sys.argv[1]]
try:
    print(wrk.read(sys.stdin.read(), workload, None))
except process.Failed as failure:
    print("failed:", failure)
"""

BREAKS_OFF = """
import runpy, sys
from pathlib import Path
from harness import load, report
bench, target = sys.argv[1:]
run = runpy.run_path(bench + "/run")
inside = run["main"].__globals__

def measured():
    row = seen.row("one core", "hello", "oxicorn")
    row.samples.append(load.Sample(7.25, 1000.0, 0.5, 1.0))
    row.states.append("same")

def broken():
    raise ValueError("no such luck")

def interrupted():
    raise KeyboardInterrupt

def plan(options, results):
    global seen
    seen = results
    yield "hello, one core", measured
    yield "json, one core", broken
    yield "post, one core", interrupted
    yield "idle", measured

inside["plan"] = plan
load.require_tools = lambda *tools: None
report.BENCH = Path(target)
sys.argv = ["run", "--only", "hello", "--save"]
sys.exit(run["main"]())
"""

PROBE = """
import socket, sys
from types import SimpleNamespace
from harness import conformance
address = ("127.0.0.1", int(sys.argv[1]))
here = SimpleNamespace(connect=lambda timeout: socket.create_connection(address, timeout))
print(conformance.faults(here))
"""

# An application that a server might have made of the one it was given.
FAULTY = """
import apps

def joined(environ, start_response):
    return [b"".join(apps.probe(environ, start_response))]
"""


def python(code: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs code that imports the harness, whose `apps` are others than those of the tests."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(BENCH)},
    )


def test_load_by_http2_is_read():
    done = python(READ, stdin=H2LOAD.format(**FINE))
    expected = "Counted(requests=4, per_second=4000.0, p50_ms=0.2, p99_ms=0.4)"
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(
    "difference",
    [
        {"protocol": "http/1.1"},
        {"done": 0, "succeeded": 0, "ok": 0},
        {"succeeded": 3, "failed": 1},
        {"ok": 3, "bad": 1},
    ],
)
def test_load_by_http2_with_an_error_counts_for_nothing(difference):
    done = python(READ, stdin=H2LOAD.format(**{**FINE, **difference}))
    assert done.stdout.startswith("failed: "), done.stdout + done.stderr


CLOSED = "  Socket errors: connect 0, read 437, write 0, timeout 0"


@pytest.mark.parametrize(("workload", "trouble"), [("hello", ""), ("close", CLOSED)])
def test_load_by_http1_is_read(workload, trouble):
    done = python(READ_WRK, workload, stdin=WRK.format(space=" ", trouble=trouble))
    expected = "Counted(requests=437, per_second=409.23, p50_ms=444.05, p99_ms=1040.0)"
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize("trouble", [CLOSED, "  Non-2xx or 3xx responses: 1"])
def test_load_by_http1_with_an_error_counts_for_nothing(trouble):
    done = python(READ_WRK, "hello", stdin=WRK.format(space=" ", trouble=trouble))
    assert done.stdout.startswith("failed: wrk"), done.stdout + done.stderr


def test_what_a_generator_does_not_say_is_a_failure():
    done = python(READ_WRK, "hello", stdin="1 requests in 1s")
    assert done.stdout.startswith("failed: the generator does not say"), done.stderr


def test_a_run_that_breaks_off_keeps_its_figures_and_says_what_is_missing(tmp_path):
    done = python(BREAKS_OFF, str(BENCH), str(tmp_path))
    assert done.returncode == 1, done.stderr
    (page,) = tmp_path.glob("results/*.md")
    assert "Missing: json, one core; post, one core; idle." in page.read_text()
    assert "json, one core: broke off: ValueError('no such luck')" in page.read_text()
    data = json.loads(page.with_suffix(".json").read_text())
    assert data["missing"] == ["json, one core", "post, one core", "idle"]
    (table,) = data["tables"]
    assert table["servers"]["oxicorn"]["samples"][0]["cpu_us"] == 7.25


@pytest.fixture
def certificate(tmp_path):
    """One for 127.0.0.1, made as the harness makes it."""
    code = "import shutil, sys\nfrom harness import tls\nmade = tls.certificate()\n"
    code += "for path in (made.cert, made.key): shutil.copy(path, sys.argv[1])"
    done = python(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def shake_hands(server, cert: Path, kind: str) -> dict[str, object]:
    """What a short load of handshakes saw."""
    program = str(BENCH / "apps" / "handshakes.py")
    argv = [sys.executable, program, str(server.port), str(cert), "0.5", "2", kind]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["new", "resumed"])
def test_handshakes_are_counted(serve, certificate, kind):
    cert, key = certificate
    options = ("--certfile", str(cert), "--keyfile", str(key))
    server = serve("apps:hello", *options, cwd=BENCH / "apps", env={"BENCH_FRAMEWORKS": ""})
    seen = shake_hands(server, cert, kind)
    assert seen["trouble"] == ""
    assert seen["times_ms"]
    assert 0 < seen["times_ms"][0] <= seen["times_ms"][-1]


def test_handshakes_with_a_wrong_answer_are_none(serve, certificate):
    cert, key = certificate
    options = ("--certfile", str(cert), "--keyfile", str(key))
    server = serve("apps:probe", *options, cwd=BENCH / "apps", env={"BENCH_FRAMEWORKS": ""})
    assert "wrong answer" in shake_hands(server, cert, "new")["trouble"]


def test_a_session_that_is_not_resumed_is_no_success(certificate):
    cert, key = certificate
    with forgetful(cert, key) as listener:
        assert shake_hands(listener, cert, "new")["trouble"] == ""
        seen = shake_hands(listener, cert, "resumed")
        assert seen["trouble"] == "the server did not resume the session"


@contextlib.contextmanager
def forgetful(cert: Path, key: Path) -> Iterator[SimpleNamespace]:
    """A server that has new keys for its tickets at each connection."""

    def answer() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            with plain, contextlib.suppress(OSError):
                plain.settimeout(30)
                with context.wrap_socket(plain, server_side=True) as client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\nHello, World!\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield SimpleNamespace(port=listener.getsockname()[1])
        finally:
            # Ends the accept, which closing would not.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(60)


@pytest.mark.parametrize(
    ("app", "faults"),
    [
        ("apps:probe", []),
        ("faulty:joined", ["a piece is sent before the next is made", "close() is called"]),
    ],
)
def test_probes_tell_servers_apart(serve, tmp_path, app, faults):
    (tmp_path / "faulty.py").write_text(FAULTY)
    paths = f"{tmp_path},{BENCH / 'apps'}"
    # On a busy machine the first piece may take long to arrive.
    env = {"BENCH_FRAMEWORKS": "", "BENCH_PAUSE_SECS": "3"}
    server = serve(app, "--pythonpath", paths, env=env, cwd=tmp_path)
    assert python(PROBE, str(server.port)).stdout.strip() == repr(faults)
