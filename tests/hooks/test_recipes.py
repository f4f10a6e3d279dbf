"""What people put into their gunicorn.conf.py, as they have it."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support import eventually

PROMETHEUS = """
from prometheus_client import multiprocess

def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""

METRICS = """
from prometheus_client import CollectorRegistry, Gauge, generate_latest, multiprocess

SEEN = Gauge('seen', 'Requests', multiprocess_mode='liveall')

def app(environ, start_response):
    SEEN.inc()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    page = generate_latest(registry)
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


def test_prometheus_forgets_the_dead(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(PROMETHEUS)
    (tmp_path / "metrics.py").write_text(METRICS)
    folder = tmp_path / "figures"
    folder.mkdir()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    server = serve("metrics:app", cwd=tmp_path, env=env)
    with dial(server) as peer:
        assert b"seen{pid=" in peer.get().body
    first = folder / f"gauge_liveall_{server.workers()[0]}.db"
    assert first.exists()
    os.kill(server.workers()[0], signal.SIGKILL)
    eventually(lambda: not first.exists())


FREEZE = """
import gc

preload_app = True

def when_ready(server):
    gc.freeze()

def pre_fork(server, worker):
    gc.freeze()
"""

FROZEN = """
import gc

def app(environ, start_response):
    page = b'%d' % gc.get_freeze_count()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


def test_freezing_before_the_fork(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(FREEZE)
    (tmp_path / "frozen.py").write_text(FROZEN)
    server = serve("frozen:app", cwd=tmp_path)
    with dial(server) as peer:
        assert int(peer.get().body) > 1000


NUMBERS = """
import os

def on_starting(server):
    server._numbers = {}

def nworkers_changed(server, new_value, old_value):
    server._count = new_value

def pre_fork(server, worker):
    taken = {server._numbers.get(w.age) for w in server.WORKERS.values()}
    worker._number = next(n for n in range(server._count + 2) if n not in taken)
    server._numbers[worker.age] = worker._number

def post_fork(server, worker):
    os.environ['WORKER_NUMBER'] = str(worker._number)
    server.log.info('worker %d has number %d', worker.age, worker._number)
"""

NUMBERED = """
import os

def app(environ, start_response):
    page = os.environ['WORKER_NUMBER'].encode()
    start_response('200 OK', [('Content-Length', str(len(page)))])
    return [page]
"""


def test_worker_numbers_are_used_again(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(NUMBERS)
    (tmp_path / "numbered.py").write_text(NUMBERED)
    server = serve("numbered:app", cwd=tmp_path)

    def number():
        with dial(server) as peer:
            return peer.get().body

    assert number() == b"0"
    os.kill(server.workers()[0], signal.SIGKILL)
    eventually(lambda: "worker 2 has number 0" in server.log())
    assert number() == b"0"


# As the recipe that most settings files have: what no living worker has is free, and a reload may
# use each number twice.
NUMBERS_OF_THE_LIVING = """
import os

def on_starting(server):
    server._twice = set()

def nworkers_changed(server, new_value, old_value):
    server._wanted = new_value

def on_reload(server):
    server._twice = set(range(1, server.cfg.workers + 1))

def pre_fork(server, worker):
    if server._twice:
        worker._number = server._twice.pop()
    else:
        taken = {each._number for each in server.WORKERS.values() if each.alive}
        worker._number = (set(range(1, server._wanted + 1)) - taken).pop()

def post_fork(server, worker):
    os.environ['WORKER_NUMBER'] = str(worker._number)
"""


def test_worker_numbers_pass_to_replacements(serve, dial, tmp_path):
    """Which boot before the worker that has the number is gone."""
    (tmp_path / "gunicorn.conf.py").write_text(NUMBERS_OF_THE_LIVING)
    (tmp_path / "numbered.py").write_text(NUMBERED)
    server = serve("numbered:app", "--max-requests", "3", workers=2, cwd=tmp_path)

    def booted(number):
        with dial(server) as peer:
            assert peer.get().body in (b"1", b"2")
        return server.log().count("Booting worker") >= number

    eventually(lambda: booted(6))
    server.signal(signal.SIGHUP)
    eventually(lambda: "Hang up: Master" in server.log())
    eventually(lambda: booted(12))
    assert server.stop() == 0
    assert "Traceback" not in server.log()


ATTRIBUTES = """
import json, os

def write(name, found):
    with open(name, 'w') as file:
        json.dump(found, file)

def when_ready(server):
    write('server.json', {
        'pid': server.pid == os.getpid(),
        'workers': server.cfg.workers,
        'num_workers': server.num_workers,
        'WORKERS': dict(server.WORKERS),
        'LISTENERS': [str(listener) for listener in server.LISTENERS],
        'address': server.address,
        'proc_name': server.proc_name,
        'timeout': server.timeout,
    })
    server.log.warning('a %s of the hook', 'word')

def pre_fork(server, worker):
    assert worker.pid == '[booting]'

def post_worker_init(worker):
    write('worker.json', {
        'pid': worker.pid == os.getpid(),
        'ppid': worker.ppid == os.getppid(),
        'age': worker.age,
        'alive': worker.alive,
        'aborted': worker.aborted,
        'booted': worker.booted,
        'nr': worker.nr,
        'sockets': len(worker.sockets),
        'app': worker.app.callable is worker.wsgi is worker.app.wsgi(),
        'threads': worker.cfg.threads,
        'timeout': worker.timeout,
    })
    worker.log.info('worker %s', worker)
"""


def test_attributes_of_server_and_worker(serve, dial, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(ATTRIBUTES)
    server = serve("hello", "--timeout", "90", cwd=tmp_path)
    with dial(server) as peer:
        assert peer.get().status == 200
    assert json.loads((tmp_path / "server.json").read_text()) == {
        "pid": True,
        "workers": 1,
        "num_workers": 1,
        "WORKERS": {},
        "LISTENERS": [server.url],
        "address": [["127.0.0.1", 0]],
        "proc_name": "apps.hello:app",
        "timeout": 90.0,
    }
    assert json.loads((tmp_path / "worker.json").read_text()) == {
        "pid": True,
        "ppid": True,
        "age": 1,
        "alive": True,
        "aborted": False,
        "booted": False,
        "nr": 0,
        "sockets": 1,
        "app": True,
        "threads": 1,
        "timeout": 90,
    }
    assert "a word of the hook" in server.log()
    assert f"worker <Worker {server.workers()[0]}>" in server.log()


METHODS = """
import os

def on_starting(server):
    assert not server.systemd
    for name in ('spawn_worker', 'manage_workers'):
        try:
            getattr(server, name)()
        except AttributeError as error:
            server.log.warning('%s', error)
    try:
        server.num_workers += 1
    except AttributeError as error:
        server.log.warning('%s', error)
    try:
        server.no_such_thing
    except AttributeError as error:
        server.log.warning('%s', error)

def post_fork(server, worker):
    assert isinstance(worker, server.worker_class)

def nworkers_changed(server, new_value, old_value):
    if new_value == 3:
        server.reload()

def on_reload(server):
    if os.path.exists('last'):
        server.halt('that was the last one', 9)
    open('last', 'w').close()
"""


def test_what_a_hook_may_ask_of_the_server(serve, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(METHODS)
    server = serve("hello", workers=2, cwd=tmp_path)
    log = server.log()
    assert "server.spawn_worker is not available: the master starts and ends workers itself" in log
    assert "server.manage_workers is not available" in log
    assert "server.num_workers cannot be set: os.kill(server.pid, signal.SIGTTIN)" in log
    assert "'Server' object has no attribute 'no_such_thing'" in log
    server.signal(signal.SIGTTIN)
    eventually(lambda: server.log().count("Hang up: Master") == 1)
    eventually(lambda: server.log().count("Booting worker") == 5)
    server.signal(signal.SIGHUP)
    assert server.wait() == 9
    assert "Reason: that was the last one" in server.log()
    server.expected_exit = 9


# Traces and metrics by OTLP over HTTP; where they go is said by OpenTelemetry's own variable. The
# file of its documentation, to the letter, is in test_opentelemetry.py.
TRACING = """
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)

    resource = Resource.create(attributes={"service.name": "shop", "worker": worker.pid})

    trace.set_tracer_provider(TracerProvider(resource=resource))
    span_processor = BatchSpanProcessor(OTLPSpanExporter())
    trace.get_tracer_provider().add_span_processor(span_processor)

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))
"""

TRACED = """
from opentelemetry import metrics, trace

tracer = trace.get_tracer(__name__)
orders = metrics.get_meter(__name__).create_counter('orders')

def app(environ, start_response):
    with tracer.start_as_current_span('request ' + environ['PATH_INFO']):
        orders.add(1)
        start_response('200 OK', [('Content-Length', '2')])
        return [b'ok']
"""


class Collector:
    """A collector of OTLP over HTTP, and what it was sent."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, str]] = []
        """The worker's process id and the name of each."""
        self.metrics: list[tuple[int, str]] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                found = (span.name for scope in one.scope_spans for span in scope.spans)
                self.spans += [(worker_of(one.resource), name) for name in found]
        elif path == "/v1/metrics":
            for one in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                found = (metric.name for scope in one.scope_metrics for metric in scope.metrics)
                self.metrics += [(worker_of(one.resource), name) for name in found]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def worker_of(resource: Any) -> int:
    found = {each.key: each.value for each in resource.attributes}
    assert found["service.name"].string_value == "shop"
    return int(found["worker"].int_value)


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


@pytest.mark.parametrize("loaded", ["before the fork", "by each worker"])
def test_opentelemetry_exports_from_each_worker(serve, dial, collector, tmp_path, loaded):
    """While they serve, and the last ones when a worker ends."""
    (tmp_path / "gunicorn.conf.py").write_text(TRACING)
    (tmp_path / "traced.py").write_text(TRACED)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
    }
    options = ["--preload"] if loaded == "before the fork" else []
    server = serve("traced:app", *options, cwd=tmp_path, env=env)
    (first,) = server.workers()
    with dial(server) as peer:
        assert peer.get("/cart").status == 200
    assert f"Worker spawned (pid: {first})" in server.log()
    eventually(lambda: (first, "request /cart") in collector.spans)
    eventually(lambda: (first, "orders") in collector.metrics)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.workers() not in ([], [first]))
    (second,) = server.workers()
    with dial(server) as peer:
        assert peer.get("/till").status == 200
    assert server.stop() == 0
    assert (second, "request /till") in collector.spans
    assert (second, "orders") in collector.metrics
