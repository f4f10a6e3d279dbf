"""What a service manager is told, in systemd's way (`Type=notify`)."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Tells the service manager how the server is; does nothing when there is none."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog()
        """Seconds between two signs of life that it wants; 0 if it wants none."""

    def ready(self, status: str) -> None:
        """Requests are served."""
        self._say("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """New settings are being put to use; `ready` tells the end of it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """No more connections are accepted."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """The sign of life, if it wants some."""
        if self.watchdog:
            self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        name = self._address
        if name.startswith("@"):
            name = "\0" + name[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.connect(name)
                notify.sendall("\n".join(lines).encode())
        except OSError:
            pass  # it watches the process as well; serving does not depend on its ear


def _watchdog() -> float:
    pid, limit = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if pid not in ("", str(os.getpid())) or not limit.isdecimal():
        return 0.0
    return int(limit) / 2_000_000
