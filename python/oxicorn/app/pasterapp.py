"""PasteDeploy: applications out of an ini file, and the server that `pserve` runs.

It needs the package PasteDeploy, which whoever has such a file has.
"""

from __future__ import annotations

import configparser
import logging.config
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from oxicorn import config_file
from oxicorn.app.base import Application
from oxicorn.errors import AppImportError, Error

__all__ = ["get_wsgi_app", "serve"]


def get_wsgi_app(
    config_uri: str, name: str | None = None, defaults: dict[str, str] | None = None
) -> Callable[..., Any]:
    """The application that `FILE`, `FILE#name` or a URI such as `egg:package` names."""
    try:
        from paste.deploy import loadapp
    except ImportError:
        raise AppImportError(
            "paste: needs the package PasteDeploy (pip install PasteDeploy)", 3
        ) from None
    if ":" not in config_uri:
        path = config_uri.partition("#")[0]
        if not Path(path).is_file():
            raise AppImportError(f"paste: there is no file `{path}`", 3)
        if has_logging_config(path):
            where = {"__file__": path, "here": os.path.dirname(path)}
            logging.config.fileConfig(path, where, disable_existing_loggers=False)
        config_uri = f"config:{config_uri}"
    app: Callable[..., Any] = loadapp(
        config_uri, name=name, relative_to=os.getcwd(), global_conf=defaults
    )
    return app


def has_logging_config(path: str) -> bool:
    """Whether the file sets up `logging`."""
    parser = configparser.RawConfigParser()
    parser.read([path])
    return parser.has_section("loggers")


def global_conf(pairs: Iterable[str]) -> dict[str, str]:
    """What `--paste-global NAME=TEXT` gives; `\\=` is an equals sign in the name."""
    values = {}
    for pair in pairs:
        found = re.fullmatch(r"((?:\\=|[^=])+)=(.*)", pair, re.DOTALL)
        if found is None:
            raise Error(f"raw_paste_global_conf: expected NAME=TEXT, got `{pair}` (--paste-global)")
        name, text = (part.replace("\\=", "=").strip() for part in found.groups())
        values[name] = text
    return values


class _Served(Application):
    """What an ini file serves, with the settings of its `server` section."""

    def __init__(self, app: Callable[..., Any], file: str, options: dict[str, Any]) -> None:
        self._served = app
        self._file = file
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        os.chdir(self._directory)
        self.cfg.set("default_proc_name", self._file)
        location = self._options.get("config") or config_file.find()[0]
        if location:
            self.load_config_from_file(location)
        for name, value in self._options.items():
            if value is not None and name != "config":
                self.cfg.set(name.lower(), value)
        self.chdir()

    def load(self) -> Callable[..., Any]:
        return self._served


def serve(app: Callable[..., Any], global_conf: dict[str, str], **local_conf: Any) -> None:
    """The server of an ini file: `use = egg:oxicorn#main`, with settings by their names.

    `host` and `port` stand for `bind`, `config` names a settings file.
    """
    host, port = local_conf.pop("host", ""), local_conf.pop("port", "")
    if host and port:
        local_conf["bind"] = f"{host}:{port}"
    elif host:
        local_conf["bind"] = host.split(",")
    _Served(app, global_conf["__file__"], local_conf).run()
