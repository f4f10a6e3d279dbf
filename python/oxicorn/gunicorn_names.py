"""Names of gunicorn's modules, for settings files that import them where it is not installed.

Mostly they are there for annotations and as bases of classes. A module that is not in the table
cannot be imported, as it says itself.
"""

from __future__ import annotations

import contextlib
import copy
import email.utils
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from logging.handlers import SysLogHandler
from types import ModuleType
from typing import Any

import oxicorn

# The version whose settings and hooks these are.
_VERSION = (27, 0, 1)


def _top() -> dict[str, Any]:
    return {
        "__version__": ".".join(map(str, _VERSION)),
        "version_info": _VERSION,
        "SERVER": "oxicorn",
        "SERVER_SOFTWARE": f"oxicorn/{oxicorn.__version__}",
    }


def _arbiter() -> dict[str, Any]:
    from oxicorn.master import Server

    return {"Arbiter": Server}


def _config() -> dict[str, Any]:
    from oxicorn.config import Config

    return {"Config": Config}


def _errors() -> dict[str, Any]:
    from oxicorn.errors import AppImportError, Error, HaltServer

    return {"AppImportError": AppImportError, "ConfigError": Error, "HaltServer": HaltServer}


def _logger() -> dict[str, Any]:
    from oxicorn.logger import CONFIG_DEFAULTS, Logger, SafeAtoms

    return {
        "Logger": Logger,
        "SafeAtoms": SafeAtoms,
        "CONFIG_DEFAULTS": copy.deepcopy(CONFIG_DEFAULTS),
        "SYSLOG_FACILITIES": dict(SysLogHandler.facility_names),
    }


def _util() -> dict[str, Any]:
    from oxicorn.application import load

    def import_app(module: str) -> Callable[..., Any]:
        return load(module)

    def http_date(timestamp: float | None = None) -> str:
        return email.utils.formatdate(timestamp, usegmt=True)

    return {"import_app": import_app, "http_date": http_date}


def _statsd() -> dict[str, Any]:
    from oxicorn.statsd import Statsd

    return {"Statsd": Statsd}


def _worker(name: str) -> Callable[[], dict[str, Any]]:
    def names() -> dict[str, Any]:
        from oxicorn.worker import Worker

        return {name: Worker}

    return names


def _worker_classes() -> dict[str, Any]:
    classes = {
        "sync": "gunicorn.workers.sync.SyncWorker",
        "gthread": "gunicorn.workers.gthread.ThreadWorker",
        "gevent": "gunicorn.workers.ggevent.GeventWorker",
        "tornado": "gunicorn.workers.gtornado.TornadoWorker",
    }
    return {"SUPPORTED_WORKERS": classes}


def _request() -> dict[str, Any]:
    from oxicorn.request_hooks import Request

    return {"Request": Request}


def _response() -> dict[str, Any]:
    from oxicorn.request_hooks import Response

    return {"Response": Response}


_PACKAGES = ("gunicorn", "gunicorn.http", "gunicorn.instrument", "gunicorn.workers")
_MODULES: dict[str, Callable[[], dict[str, Any]]] = {
    "gunicorn": _top,
    "gunicorn.arbiter": _arbiter,
    "gunicorn.config": _config,
    "gunicorn.errors": _errors,
    "gunicorn.glogging": _logger,
    "gunicorn.http": _request,
    "gunicorn.http.message": _request,
    "gunicorn.http.wsgi": _response,
    "gunicorn.instrument": dict,
    "gunicorn.instrument.statsd": _statsd,
    "gunicorn.util": _util,
    "gunicorn.workers": _worker_classes,
    "gunicorn.workers.base": _worker("Worker"),
    "gunicorn.workers.base_async": _worker("AsyncWorker"),
    "gunicorn.workers.ggevent": _worker("GeventWorker"),
    "gunicorn.workers.gthread": _worker("ThreadWorker"),
    "gunicorn.workers.gtornado": _worker("TornadoWorker"),
    "gunicorn.workers.sync": _worker("SyncWorker"),
}


class _Finder(MetaPathFinder, Loader):
    """Comes last: what is installed is found before it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parent = sys.modules.get("gunicorn")
        if name not in _MODULES or (parent is not None and parent.__loader__ is not self):
            return None
        return ModuleSpec(name, self, is_package=name in _PACKAGES)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_MODULES[module.__name__]())


_finder = _Finder()


@contextlib.contextmanager
def importable() -> Iterator[list[str]]:
    """While it lasts the modules can be imported; gives what is to be said about it afterwards."""
    notes: list[str] = []
    sys.meta_path.append(_finder)
    try:
        yield notes
    finally:
        sys.meta_path.remove(_finder)
    module = sys.modules.get("gunicorn")
    if module is None:
        return
    original = _top()
    if module.__loader__ is not _finder:
        version = getattr(module, "__version__", "")
        original |= {"SERVER": "gunicorn", "SERVER_SOFTWARE": f"gunicorn/{version}"}
    notes += [
        f"gunicorn.{name} was set and has no effect; see server_header"
        for name in ("SERVER", "SERVER_SOFTWARE")
        if getattr(module, name, None) != original[name]
    ]
