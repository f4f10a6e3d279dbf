"""What idle keep-alive connections cost a server: memory each, and speed for others."""

import resource
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import load, process, servers, workloads

# One client address has fewer ports than some runs have connections.
PORTS_PER_ADDRESS = 20_000
# Of linux/in.h; Python has the name from 3.12 on.
IP_BIND_ADDRESS_NO_PORT = 24
ANSWER_SECS = 10
# A server that keeps a thread for each connection answers the next one when it gives the last up.
OPEN_SECS = 20


@dataclass(frozen=True)
class Idle:
    """One server with idle connections, compared with itself without them."""

    kept: int
    """Connections that were still open at the end."""
    bytes_each: float
    """Memory of the process tree by which each connection made it grow."""
    cpu_us_without: float
    """CPU time of a request of another client, before."""
    cpu_us: float
    """The same with the idle connections there."""


def measure(server: servers.Server, count: int, duration: int, rounds: int) -> Idle:
    """Opens connections, has one request answered on each, and leaves them open."""
    workload = workloads.WORKLOADS_BY_NAME["hello"]
    with process.running(server, workload.app, connections=count + 1000) as here:
        workloads.check_answer(here, workload)
        load.measure(here, workload, 1)
        without = speed(here, workload, duration, rounds)
        before = here.pss_bytes()
        clients = open_idle(here, workload, count)
        try:
            each = (here.pss_bytes() - before) / count
            beside = speed(here, workload, duration, rounds)
            kept = sum(is_open(client) for client in clients)
        finally:
            for client in clients:
                client.close()
    return Idle(kept, each, without, beside)


def speed(here: process.Running, workload: workloads.Workload, duration: int, rounds: int) -> float:
    return median(load.measure(here, workload, duration).cpu_us for _ in range(rounds))


def open_idle(
    here: process.Running, workload: workloads.Workload, count: int
) -> list[socket.socket]:
    """Connections on which one request was answered, and nothing more is said."""
    request, clients = workload.request(here.port), []
    deadline = time.monotonic() + OPEN_SECS
    try:
        for number in range(count):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the connections before took {OPEN_SECS} s")
            source = (f"127.0.0.{2 + number // PORTS_PER_ADDRESS}", 0)
            client = socket.socket()
            clients.append(client)
            # The port is chosen for this destination only, so that it is not lost for others.
            client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind(source)
            client.settimeout(ANSWER_SECS)
            client.connect(("127.0.0.1", here.port))
            client.sendall(request)
            read_answer(client, workload.answer)
    except OSError as error:
        number = len(clients)
        for client in clients:
            client.close()
        raise process.Failed(f"idle connection {number}: {error!r}") from error
    return clients


def read_answer(client: socket.socket, body: bytes) -> None:
    answer = b""
    while not answer.endswith(body):
        piece = client.recv(65536)
        if not piece:
            raise ConnectionError("closed instead of kept")
        answer += piece


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return bool(client.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def raise_descriptors() -> int:
    """As many descriptors as the machine allows; the server inherits the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = int(Path("/proc/sys/fs/nr_open").read_text())
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
