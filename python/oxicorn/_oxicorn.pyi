"""The engine of oxicorn."""

from typing import Final

__all__ = [
    "__version__",
    "give_logs_to",
    "init_logs",
    "log",
    "log_descriptor",
    "log_enabled",
    "reopen_logs",
]

__version__: Final[str]

def give_logs_to(uid: int, gid: int) -> None: ...
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
