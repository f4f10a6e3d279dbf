"""Figures for a StatsD server, under the names that gunicorn's dashboards have."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

_PORT = 8125


class Statsd:
    """Sends figures as datagrams; one that cannot be sent is forgotten."""

    def __init__(self, settings: Any) -> None:
        prefix = settings.statsd_prefix.rstrip(".")
        self._prefix = f"{prefix}." if prefix else ""
        self._tags = f"|#{settings.dogstatsd_tags}" if settings.dogstatsd_tags else ""
        self._workers = -1
        family, address = _address(settings.statsd_host)
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.connect(address)

    def request(self, status: int, seconds: float) -> None:
        """A request was answered."""
        self._send(f"gunicorn.request.duration:{seconds * 1000:.3f}|ms")
        self._send("gunicorn.requests:1|c|@1.0")
        self._send(f"gunicorn.request.status.{status}:1|c|@1.0")

    def workers(self, count: int) -> None:
        """So many workers are there; sent when the number is another one."""
        if count != self._workers:
            self._workers = count
            self._send(f"gunicorn.workers:{count}|g")

    def _send(self, figure: str) -> None:
        # Whoever listens may come and go.
        with contextlib.suppress(OSError):
            self._socket.send(f"{self._prefix}{figure}{self._tags}".encode())


def of(settings: Any) -> Statsd | None:
    """The sender, if the settings name a server; raises `OSError` or `ValueError`."""
    return Statsd(settings) if settings.statsd_host else None


def _address(text: str) -> tuple[socket.AddressFamily, Any]:
    if text.startswith("unix://"):
        return socket.AF_UNIX, text.removeprefix("unix://")
    host, _, port = text.rpartition(":")
    if not host:
        host, port = port, str(_PORT)
    if not port.isdecimal():
        raise ValueError(f"statsd_host: expected HOST:PORT or unix://PATH, got `{text}`")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    except (OSError, OverflowError) as error:
        raise ValueError(f"statsd_host: cannot find `{text}`: {error}") from None
    return found[0], found[4]
