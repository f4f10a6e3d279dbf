"""Middleware on the server's own code, for programs that want it beside their application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oxicorn._oxicorn import ProxyRules

__all__ = ["ProxyFix", "PublicUrl"]


class ProxyFix:
    """Believes the X-Forwarded fields of proxies, with the signature of Werkzeug's class.

    Each number says how many proxies set the field; 0 leaves it unread. Unlike Werkzeug's, values
    are validated (an address must be one, a scheme http or https), REMOTE_PORT follows
    REMOTE_ADDR, and `trusted` names the peers that are believed: addresses, networks, `unix:`, or
    `*` for everyone, as Werkzeug has it. What the connection itself says stays in
    `environ["oxicorn.proxy.orig"]` and `environ["werkzeug.proxy_fix.orig"]`.

    Behind oxicorn the settings of the `proxy` group do the same before environ is made; use one
    of the two.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        x_for: int = 1,
        x_proto: int = 1,
        x_host: int = 0,
        x_port: int = 0,
        x_prefix: int = 0,
        trusted: str | Iterable[str] = "*",
    ) -> None:
        self.app = app
        networks = trusted.split(",") if isinstance(trusted, str) else trusted
        networks = [network.strip() for network in networks]
        self._rules = ProxyRules(networks, x_for, x_proto, x_host, x_port, x_prefix)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._rules.apply(environ)
        return self.app(environ, start_response)


class PublicUrl:
    """Tells the application where clients see it, if the proxy in front does not say it.

    `scheme` becomes `wsgi.url_scheme`. `prefix` becomes SCRIPT_NAME, and is cut off PATH_INFO
    where the proxy has left it there.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        scheme: str | None = None,
        prefix: str = "",
    ) -> None:
        self.app = app
        self._scheme = scheme
        trimmed = prefix.strip("/")
        self._prefix = f"/{trimmed}" if trimmed else ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._scheme is not None:
            environ["wsgi.url_scheme"] = self._scheme
        if self._prefix:
            path = environ.get("PATH_INFO", "")
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path[len(self._prefix) :]
            environ["SCRIPT_NAME"] = self._prefix
        return self.app(environ, start_response)
