"""What people put into their gunicorn.conf.py, as they have it."""

from __future__ import annotations

import json
import os
import signal

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


# The exporter is one that needs no collector; the rest is OpenTelemetry's own recipe.
TRACING = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

def post_fork(server, worker):
    server.log.info('Worker spawned (pid: %s)', worker.pid)
    resource = Resource.create(attributes={'service.name': 'shop', 'worker': worker.pid})
    trace.set_tracer_provider(TracerProvider(resource=resource))
    exporter = ConsoleSpanExporter(out=open('spans', 'a'))
    trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(exporter))
"""

TRACED = """
from opentelemetry import trace

tracer = trace.get_tracer(__name__)

def app(environ, start_response):
    with tracer.start_as_current_span('request ' + environ['PATH_INFO']):
        start_response('200 OK', [('Content-Length', '2')])
        return [b'ok']
"""


def test_opentelemetry_exports_from_each_worker(serve, dial, tmp_path):
    """Also with the application loaded before the fork, and the last spans when a worker ends."""
    (tmp_path / "gunicorn.conf.py").write_text(TRACING)
    (tmp_path / "traced.py").write_text(TRACED)
    server = serve("traced:app", "--preload", cwd=tmp_path)
    worker = server.workers()[0]
    with dial(server) as peer:
        assert peer.get("/cart").status == 200
    assert f"Worker spawned (pid: {worker})" in server.log()
    assert server.stop() == 0
    spans = (tmp_path / "spans").read_text()
    assert '"name": "request /cart"' in spans
    assert f'"worker": {worker}' in spans
