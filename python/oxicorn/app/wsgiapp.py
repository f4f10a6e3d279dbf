"""The command line's program as a class, for subclasses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from oxicorn import application
from oxicorn.app.base import Application
from oxicorn.errors import Error

__all__ = ["WSGIApplication", "run"]


class WSGIApplication(Application):
    """Serves what its command line or `app_uri` names."""

    app_uri: str | None = None

    def init(self, parser: Any, opts: Any, args: list[str]) -> dict[str, Any] | None:
        """Notes what the command line names."""
        self.app_uri = None
        if opts.paste:
            self.app_uri = os.path.abspath(opts.paste)
        elif args:
            self.app_uri = args[0]
        if self.app_uri is not None:
            self.cfg.set("default_proc_name", self.app_uri)
        return None

    def load_config(self) -> None:
        """As its base does; there must be an application afterwards."""
        super().load_config()
        if self.app_uri is None:
            self.app_uri = self.cfg.paste or self.cfg.wsgi_app
        if self.app_uri is None:
            raise Error("no application given: [options] module:app")

    def load_wsgiapp(self) -> Callable[..., Any]:
        """The application in a module."""
        return application.load(str(self.app_uri))

    def load_pasteapp(self) -> Callable[..., Any]:
        """The application of a PasteDeploy file."""
        from oxicorn.app import pasterapp

        return pasterapp.get_wsgi_app(
            str(self.app_uri), defaults=pasterapp.global_conf(self.cfg.raw_paste_global_conf)
        )

    def load(self) -> Callable[..., Any]:
        """The application."""
        return self.load_wsgiapp() if self.cfg.paste is None else self.load_pasteapp()


def run(prog: str | None = None) -> None:
    """The console script."""
    from oxicorn.cli import main

    sys.exit(main())
