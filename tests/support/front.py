"""Real proxies before a server: started on loopback with a configuration, ended with the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from support.wait import eventually

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


class Front:
    """One proxy process."""

    def __init__(self, args: list[str], port: int, folder: Path) -> None:
        self.port = port
        self._log = folder / "front.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                args, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._is_up, within=60)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the proxy ended:\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="backslashreplace")

    def end(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, and the report says why."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed (Debian has it)")
    return path


def nginx(block: str, port: int, folder: Path) -> Front:
    """nginx with this text inside its `http`."""
    path = need("nginx")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{ worker_connections 64; }}\n"
        f"http {{ access_log off;\n{temporary}{block}\n}}\n"
    )
    return Front([path, "-p", str(folder), "-c", str(file), "-e", "stderr"], port, folder)


def haproxy(text: str, port: int, folder: Path) -> Front:
    """HAProxy with this configuration."""
    path = need("haproxy")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return Front([path, "-db", "-f", str(file)], port, folder)


def caddy(text: str, port: int, folder: Path) -> Front:
    """Caddy with this configuration."""
    path = need("caddy")
    file = folder / "Caddyfile"
    options = ("admin off", "default_bind 127.0.0.1", "auto_https off")
    options = (*options, f"storage file_system {folder}")
    file.write_text("{\n" + "".join(f"\t{option}\n" for option in options) + "}\n" + text)
    return Front([path, "run", "--config", str(file), "--adapter", "caddyfile"], port, folder)


def apache(text: str, port: int, folder: Path) -> Front:
    """Apache with this site."""
    path = need("apache2")
    modules = Path("/usr/lib/apache2/modules")
    names = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")
    load = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    file = folder / "apache.conf"
    file.write_text(
        f"ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n"
        f"ServerName localhost\nListen 127.0.0.1:{port}\n{load}{text}"
    )
    return Front([path, "-D", "FOREGROUND", "-f", str(file)], port, folder)
