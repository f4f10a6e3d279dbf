"""Syslog: the address as `syslog_addr` has it, and a handler that outlives its server."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from logging.handlers import SysLogHandler
from typing import Any

__all__ = ["SyslogHandler", "parse_address", "parse_facility"]

_PORT = 514
# Seconds that a message may wait for a server that does not read.
_PATIENCE = 2.0
# Seconds before a server that was not there is tried again.
_PAUSE = 1.0
_SEVERITIES = (
    (logging.CRITICAL, SysLogHandler.LOG_CRIT),
    (logging.ERROR, SysLogHandler.LOG_ERR),
    (logging.WARNING, SysLogHandler.LOG_WARNING),
    (logging.INFO, SysLogHandler.LOG_INFO),
)


class SyslogHandler(logging.Handler):
    """Sends each message with the bytes that `logging.handlers.SysLogHandler` would send.

    While nobody listens, messages are lost, and nothing else happens; it connects again by itself.
    """

    def __init__(
        self, address: str | tuple[str, int], kind: socket.SocketKind | None, facility: int
    ) -> None:
        """Raises `OSError` when the server cannot be reached."""
        super().__init__()
        self._address, self._kind, self._facility = address, kind, facility
        self._socket: socket.socket | None = None
        self._retry_at = 0.0
        self._socket = self._connected()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            severities = (number for level, number in _SEVERITIES if record.levelno >= level)
            severity = next(severities, SysLogHandler.LOG_DEBUG)
            text = f"<{self._facility << 3 | severity}>{self.format(record)}\0"
            self._send(text.encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        with self.lock or contextlib.nullcontext():
            self._disconnect()
        super().close()

    def _send(self, message: bytes) -> None:
        # The first error may be about a server that has been started again since.
        for _ in range(2):
            try:
                if self._socket is None:
                    if time.monotonic() < self._retry_at:
                        return
                    self._socket = self._connected()
                self._socket.sendall(message)
                return
            except OSError:
                self._disconnect()
        self._retry_at = time.monotonic() + _PAUSE

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        ways: list[tuple[socket.AddressFamily, socket.SocketKind, Any]]
        if isinstance(self._address, str):
            kinds = [self._kind] if self._kind else [socket.SOCK_DGRAM, socket.SOCK_STREAM]
            ways = [(socket.AF_UNIX, kind, self._address) for kind in kinds]
        else:
            found = socket.getaddrinfo(*self._address, type=self._kind or socket.SOCK_DGRAM)
            ways = [(family, kind, address) for family, kind, _, _, address in found]
        failure = OSError("no address")
        for family, kind, address in ways:
            ear = socket.socket(family, kind)
            try:
                ear.settimeout(_PATIENCE)
                ear.connect(address)
                return ear
            except OSError as error:
                ear.close()
                failure = error
        raise failure


def parse_address(text: str) -> tuple[str | tuple[str, int], socket.SocketKind | None]:
    """Where `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix://PATH#dgram` leads, and how.

    A path without `#dgram` or `#stream` is tried both ways. Raises `ValueError`.
    """
    dgram, stream = socket.SOCK_DGRAM, socket.SOCK_STREAM
    scheme, separator, rest = text.partition("://")
    if scheme == "unix" and rest:
        path, _, word = rest.partition("#")
        kinds = {"": None, "dgram": dgram, "stream": stream}
        if path and word in kinds:
            return path, kinds[word]
    elif separator and scheme in ("udp", "tcp"):
        host, colon, port = rest.rpartition(":")
        if not colon or rest.endswith("]"):
            host, port = rest, str(_PORT)
        if port.isdecimal() and int(port) < 65536:
            address = (host.strip("[]").lower() or "localhost", int(port))
            return address, dgram if scheme == "udp" else stream
    raise ValueError(
        "syslog_addr: expected udp://HOST:PORT, tcp://HOST:PORT, unix://PATH#dgram or "
        f"unix://PATH#stream, got `{text}`"
    )


def parse_facility(name: str) -> int:
    """The number of a facility; raises `ValueError`."""
    try:
        return SysLogHandler.facility_names[name.lower()]
    except KeyError:
        known = ", ".join(sorted(SysLogHandler.facility_names))
        raise ValueError(f"syslog_facility: expected one of {known}, got `{name}`") from None
