"""The engine of oxicorn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, final

__all__ = [
    "CommandLine",
    "Engine",
    "Listener",
    "Master",
    "Pidfile",
    "ProxyRules",
    "SettingError",
    "Settings",
    "Slot",
    "__version__",
    "assume_identity",
    "explain_proxy",
    "find_identity",
    "follow_parent",
    "give_logs_to",
    "help_text",
    "init_logs",
    "log",
    "log_descriptor",
    "log_enabled",
    "parse_toml",
    "reopen_logs",
    "set_process_name",
    "setting_names",
]

__version__: Final[str]

class SettingError(Exception):
    exit_code: int

@final
class CommandLine:
    def __new__(cls, argv: Iterable[str], environ: dict[str, str]) -> CommandLine: ...
    @property
    def action(self) -> Literal["serve", "help", "version"]: ...
    @property
    def config(self) -> str | None: ...
    def settings(
        self,
        path: str | None = None,
        names: dict[str, Any] | None = None,
        lines: Mapping[str, int] | None = None,
        framework: dict[str, Any] | None = None,
    ) -> Settings: ...

@final
class ProxyRules:
    def __new__(
        cls,
        trusted: Sequence[str],
        x_for: int,
        x_proto: int,
        x_host: int,
        x_port: int,
        x_prefix: int,
    ) -> ProxyRules: ...
    def apply(self, environ: dict[str, Any]) -> None: ...

@final
class Settings:
    def __getattribute__(self, name: str, /) -> Any: ...
    def hook(self, name: str) -> Callable[..., Any] | None: ...
    def listing(self) -> list[str]: ...
    def origin(self, name: str) -> str: ...
    @property
    def warnings(self) -> list[str]: ...

@final
class Engine:
    def __new__(
        cls,
        app: Callable[..., Any],
        settings: Settings,
        listener_fds: Sequence[int],
        *,
        max_requests: int | None = None,
        slot: Slot | None = None,
        signal_fd: int | None = None,
        master_fd: int | None = None,
        notify_fd: int | None = None,
        request_hooks: object | None = None,
        access_log: bool = True,
    ) -> Engine: ...
    def run(self) -> int: ...
    def drain(self) -> None: ...
    def stop(self) -> None: ...
    def is_over(self) -> bool: ...
    def is_own_thread(self) -> bool: ...
    def close(self) -> None: ...

@final
class Slot:
    @property
    def requests(self) -> int: ...

@final
class Master:
    def __new__(
        cls,
        workers: int,
        timeout: float,
        boot_timeout: float,
        graceful_timeout: float,
        daemon: bool,
        signals: int,
    ) -> Master: ...
    @property
    def target(self) -> int: ...
    def next(self) -> tuple[str, int, int]: ...
    def claim(self, age: int, generation: int) -> Slot: ...
    def forked(self, age: int, pid: int, notes: int) -> None: ...
    def fork_failed(self, age: int) -> None: ...
    def reloaded(
        self,
        workers: int,
        timeout: float,
        boot_timeout: float,
        graceful_timeout: float,
        daemon: bool,
    ) -> None: ...
    def follow(self, pid: int) -> None: ...
    def await_successor(self, pid: int) -> None: ...
    def remind(self, every: float) -> None: ...
    def let_go(self) -> None: ...

@final
class Listener:
    def __new__(
        cls,
        address: str,
        *,
        backlog: int,
        reuse_port: bool = False,
        v6_only: bool = False,
        umask: int = 0,
        owner: tuple[int, int] | None = None,
    ) -> Listener: ...
    @property
    def text(self) -> str: ...
    def fileno(self) -> int: ...
    def own_path(self) -> None: ...
    def close(self) -> None: ...
    def unlink(self) -> None: ...

@final
class Pidfile:
    def __new__(cls, path: str) -> Pidfile: ...
    @staticmethod
    def running(path: str) -> int | None: ...
    def remove(self) -> None: ...

def assume_identity(user: str | None, group: str | None, all_groups: bool) -> None: ...
def explain_proxy(
    settings: Settings, peer: str, fields: Sequence[str], header: bytes | None = None
) -> list[str]: ...
def find_identity(user: str | None, group: str | None) -> tuple[int, int]: ...
def follow_parent() -> None: ...
def give_logs_to(uid: int, gid: int) -> None: ...
def help_text() -> str: ...
def init_logs(
    errorlog: str,
    loglevel: str,
    accesslog: str | None,
    access_log_format: str,
    json: bool,
    capture_output: bool,
) -> None: ...
def log(level: str, message: str) -> None: ...
def log_descriptor() -> int: ...
def log_enabled(level: str) -> bool: ...
def parse_toml(document: str) -> dict[str, Any]: ...
def reopen_logs() -> None: ...
def set_process_name(name: str) -> None: ...
def setting_names() -> list[str]: ...
