"""What the processes of a server are called in lists of processes."""

from __future__ import annotations

from typing import Any

from oxicorn import _oxicorn


def name_of(settings: Any) -> str:
    """What the processes are named after."""
    return str(
        settings.proc_name or settings.wsgi_app or settings.paste or settings.default_proc_name
    )


def set_title(role: str, settings: Any, *, is_second: bool = False) -> None:
    """Names this process after its role, `master` or `worker`; call it on the main thread.

    As long as a predecessor lives beside it, a new master and its workers are second. The title
    that `ps` shows needs the optional module `setproctitle`.
    """
    name = name_of(settings)
    try:
        from setproctitle import setproctitle
    except ImportError:
        if settings.proc_name:
            _oxicorn.set_process_name(settings.proc_name)
        elif role == "worker":
            _oxicorn.set_process_name("oxicorn-worker")
        return
    setproctitle(f"oxicorn: {role} [{name}{'.2' if is_second else ''}]")
