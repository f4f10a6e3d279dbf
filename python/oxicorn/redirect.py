"""An application for port 80 beside a server that speaks TLS: everything moves to https.

oxicorn --bind 0.0.0.0:80 'oxicorn.redirect:to_https("shop.example", "*.shop.example")'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["to_https"]

# RFC 8555, section 8.3: a token is of the alphabet of base64url.
_CHALLENGE = re.compile(r"/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,256})\Z")
_HOST = re.compile(r"([a-z0-9_*.-]+|\[[0-9a-f:.]+\])\Z")
# Key authorizations have about a hundred bytes.
_MOST_BYTES = 4096
# What a path has as it is (RFC 3986, section 3.3).
_SAFE = "/:@!$&'()*+,;=~"

_WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def to_https(*hosts: str, port: int = 443, webroot: str | None = None) -> _WSGI:
    """Makes an application that answers each request with its address under https (308).

    Only requests for one of `hosts` are; a `*.` at the begin of one stands for one label. A client
    that asks for another host, or for none, gets 400: nobody is sent to where somebody else chose.
    `port` is that of https. With `webroot` the challenges of ACME (HTTP-01, RFC 8555) are answered
    from there, as `certbot certonly --webroot` writes them. `ValueError` says what is wrong with a
    host.
    """
    if not hosts:
        raise ValueError('to_https needs the names of the site, as in to_https("shop.example")')
    known = [host.lower().rstrip(".") for host in hosts]
    for host in known:
        if not _HOST.match(host) or "*" in host.removeprefix("*."):
            raise ValueError(f"to_https: not the name of a host: {host!r}")
    suffix = "" if port == 443 else f":{port}"

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body, fields = b"", []
        challenge = _CHALLENGE.match(environ.get("PATH_INFO", ""))
        if webroot is not None and challenge:
            status, body = _answer(Path(webroot), environ["REQUEST_METHOD"], challenge[1])
            fields.append(("Content-Type", "application/octet-stream"))
        elif host := _host(environ, known):
            status = HTTPStatus.PERMANENT_REDIRECT
            fields.append(("Location", f"https://{host}{suffix}{_target(environ)}"))
        else:
            status, body = HTTPStatus.BAD_REQUEST, b"This host is not served here.\n"
            fields.append(("Content-Type", "text/plain"))
        fields.append(("Content-Length", str(len(body))))
        start_response(f"{status.value} {status.phrase}", fields)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return application


def _host(environ: dict[str, Any], known: list[str]) -> str | None:
    """The host that is asked for, without its port, if it is known."""
    asked = re.sub(r":[0-9]*\Z", "", environ.get("HTTP_HOST", "")).lower().rstrip(".")
    if "*" in asked:
        return None
    wild = "*." + asked.partition(".")[2]
    return asked if asked in known or wild in known else None


def _target(environ: dict[str, Any]) -> str:
    """Path and query as they were sent."""
    raw: str = environ.get("RAW_URI", "")
    if raw.startswith("/"):
        return raw
    # A target with scheme and host, or the `*` of OPTIONS.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    path = quote(path if path.startswith("/") else "/", safe=_SAFE, encoding="latin-1")
    return f"{path}?{query}" if query else path


def _answer(webroot: Path, method: str, token: str) -> tuple[HTTPStatus, bytes]:
    """What certbot wrote for a challenge."""
    if method not in {"GET", "HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED, b""
    try:
        with (webroot / ".well-known" / "acme-challenge" / token).open("rb") as file:
            return HTTPStatus.OK, file.read(_MOST_BYTES)
    except OSError:
        return HTTPStatus.NOT_FOUND, b""
