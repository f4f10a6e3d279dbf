"""In a network of its own: a collector of OTLP over gRPC at the port that everybody's settings
name, a server whose settings file is in the current directory, and its client.

Prints a line of JSON for each thing that happened; `tests/hooks/test_opentelemetry.py` reads them.
The arguments are the options of the server.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.server import command
from support.wait import eventually

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def bring_loopback_up() -> None:
    """A new network has the device, but it is down."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What it was sent: the service's name and the span's name of each span."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[tuple[str, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        assert self._server.add_insecure_port("127.0.0.1:4317") == 4317
        self._server.start()

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        found = [
            (attribute.value.string_value, span.name)
            for one in request.resource_spans
            for attribute in one.resource.attributes
            if attribute.key == "service.name"
            for scope in one.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += found
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[tuple[str, str]]:
        with self._lock:
            return list(self._spans)

    def stop(self) -> None:
        self._server.stop(None).wait()


def say(what: str, **facts: object) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


def ask(port: int, path: str) -> int:
    """One request; gives the process id of the worker that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    page = connection.getresponse().read()
    connection.close()
    return int(page)


def main() -> None:
    bring_loopback_up()
    collector = Collector()
    log = Path("server.log")
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [*command(), *sys.argv[1:], "--bind", "127.0.0.1:0", "traced:app"], stderr=stream
        )

    def listening() -> re.Match[str] | None:
        assert server.poll() is None, log.read_text()
        return re.search(r"Listening at: http://[\d.]+:(\d+)", log.read_text())

    said = eventually(listening, within=60)
    assert said is not None
    port = int(said[1])

    first = ask(port, "/cart")
    say("answered", pid=first, spawned=f"Worker spawned (pid: {first})" in log.read_text())
    eventually(lambda: ("api-service", f"/cart {first}") in collector.spans(), within=60)
    say("exported while serving")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: log.read_text().count("Worker spawned") == 2, within=60)
    second = ask(port, "/till")
    say("answered", pid=second, spawned=f"Worker spawned (pid: {second})" in log.read_text())
    server.terminate()
    say("ended", status=server.wait(60))
    # What the last worker had not sent yet it sent when it ended.
    say("exported", spans=collector.spans(), expected=["api-service", f"/till {second}"])
    collector.stop()


if __name__ == "__main__":
    main()
