"""The engine of oxicorn."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, final

__all__ = [
    "CommandLine",
    "SettingError",
    "Settings",
    "__version__",
    "give_logs_to",
    "help_text",
    "init_logs",
    "log",
    "log_descriptor",
    "log_enabled",
    "reopen_logs",
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
class Settings:
    def __getattribute__(self, name: str, /) -> Any: ...
    def hook(self, name: str) -> Callable[..., Any] | None: ...
    def listing(self) -> list[str]: ...
    def origin(self, name: str) -> str: ...
    @property
    def warnings(self) -> list[str]: ...

def give_logs_to(uid: int, gid: int) -> None: ...
def help_text() -> str: ...
def init_logs(
    errorlog: str,
    loglevel: str,
    accesslog: str | None,
    access_log_format: str,
    capture_output: bool,
) -> None: ...
def log(level: str, message: str) -> None: ...
def log_descriptor() -> int: ...
def log_enabled(level: str) -> bool: ...
def reopen_logs() -> None: ...
def setting_names() -> list[str]: ...
