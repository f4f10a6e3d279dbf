"""Figures for a StatsD server, under the names that gunicorn's dashboards have."""

from __future__ import annotations

import contextlib
import logging
import socket
from datetime import timedelta
from typing import Any

from oxicorn.logger import Logger

__all__ = ["Statsd", "parse_address"]

_PORT = 8125


class Statsd(Logger):
    """A logger that also sends figures: of requests, of grave messages, and what `extra` says.

    Each is a datagram; one that cannot be sent is forgotten. A message with
    `extra={"metric": …, "value": …, "mtype": "gauge"}` (or counter, histogram, timer) is a figure,
    whatever the level of the log; without a text it is nothing else.
    """

    def __init__(self, cfg: Any) -> None:
        prefix = cfg.statsd_prefix.rstrip(".")
        self._prefix = f"{prefix}." if prefix else ""
        self._tags = f"|#{cfg.dogstatsd_tags}" if cfg.dogstatsd_tags else ""
        self._ear = _found(cfg.statsd_host)
        family = self._ear[0] if self._ear else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        super().__init__(cfg)

    # The error log.

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.CRITICAL, msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.ERROR, msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.WARNING, msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        extra = kwargs.get("extra") or {}
        name, value = extra.get("metric"), extra.get("value")
        senders = {
            "gauge": self.gauge,
            "counter": self.increment,
            "histogram": self.histogram,
            "timer": self.timer,
        }
        send = senders.get(extra.get("mtype", ""))
        if send is not None and name and value is not None:
            send(name, value)
        if msg:
            super().log(lvl, msg, *args, **kwargs)

    # The access log.

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        super().access(resp, req, environ, request_time)
        self.measure(int(str(resp.status).partition(" ")[0]), request_time.total_seconds())

    def measure(self, status: int, seconds: float) -> None:
        """Sends the figures of a request that was answered."""
        self.timer("gunicorn.request.duration", f"{seconds * 1000:.3f}")
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{status}", 1)

    # Figures.

    def gauge(self, name: str, value: object) -> None:
        """How much there is."""
        self._send(f"{name}:{value}|g")

    def increment(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        """So many more."""
        self._send(f"{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        """So many fewer."""
        self._send(f"{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: object) -> None:
        """Milliseconds that something took."""
        self._send(f"{name}:{value}|ms")

    def histogram(self, name: str, value: object) -> None:
        """One of many values."""
        self._send(f"{name}:{value}|h")

    def _send(self, figure: str) -> None:
        if self._ear is None:
            return
        data = f"{self._prefix}{figure}{self._tags}".encode()
        # Whoever listens may come and go.
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self._ear[1])


def parse_address(text: str) -> tuple[str, int] | str:
    """What `HOST:PORT` or `unix://PATH` names; raises `ValueError`."""
    if text.startswith("unix://"):
        return text.removeprefix("unix://")
    host, _, port = text.rpartition(":")
    if not host:
        host, port = port, str(_PORT)
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"statsd_host: expected HOST:PORT or unix://PATH, got `{text}`")
    return host.strip("[]"), int(port)


def _found(address: tuple[str, int] | str | None) -> tuple[socket.AddressFamily, Any] | None:
    """The server's address as sockets have it."""
    if address is None or isinstance(address, str):
        return (socket.AF_UNIX, address) if address else None
    try:
        family, _, _, _, place = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise ValueError(f"statsd_host: cannot find `{address[0]}`: {error}") from None
    return family, place
