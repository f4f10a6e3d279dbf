"""The settings file that OpenTelemetry's documentation has for gunicorn, to the letter.

It sends to http://localhost:4317. That port is free in a network of one's own only, so collector,
server and client run in one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from support.program import Program
from support.server import TESTS

RECIPE = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)

    resource = Resource.create(attributes={
        "service.name": "api-service"
    })

    trace.set_tracer_provider(TracerProvider(resource=resource))
    span_processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint="http://localhost:4317")
    )
    trace.get_tracer_provider().add_span_processor(span_processor)
"""

TRACED = """
import os

from opentelemetry import trace

tracer = trace.get_tracer(__name__)

def app(environ, start_response):
    with tracer.start_as_current_span(f"{environ['PATH_INFO']} {os.getpid()}"):
        page = b'%d' % os.getpid()
        start_response('200 OK', [('Content-Length', str(len(page)))])
        return [page]
"""

NETWORKS = (["unshare", "--user", "--map-root-user", "--net"], ["unshare", "--net"])


@pytest.fixture(scope="module")
def own_network() -> list[str]:
    """How a command gets a network of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare, which makes a network of one's own, is not installed")
    for command in NETWORKS:
        if not subprocess.run([*command, "true"], capture_output=True).returncode:
            return command
    pytest.skip("no namespace for a network can be made here")


@pytest.mark.parametrize("loaded", ["before the fork", "by each worker"])
def test_the_published_recipe_exports_from_each_worker(tmp_path, own_network, loaded):
    """While they serve, and the last spans when a worker ends."""
    (tmp_path / "gunicorn.conf.py").write_text(RECIPE)
    (tmp_path / "traced.py").write_text(TRACED)
    options = ["--preload"] if loaded == "before the fork" else []
    script = str(TESTS / "apps" / "otlp_in_namespace.py")
    # A proxy for the outer world would be asked for localhost too.
    environ = {"NO_PROXY": "localhost", "no_proxy": "localhost"}
    program = Program([*own_network, sys.executable, script, *options], tmp_path, environ)
    try:
        assert program.process.wait(300) == 0, program.log()
    finally:
        program.end()
    said = [json.loads(line) for line in program.out().splitlines()]
    whats = ["answered", "exported while serving", "answered", "ended", "exported"]
    assert [line.pop("what") for line in said] == whats
    first, _, second, ended, exported = said
    assert first["spawned"]
    assert second["spawned"]
    assert first["pid"] != second["pid"]
    assert ended == {"status": 0}
    assert exported["expected"] in exported["spans"]
