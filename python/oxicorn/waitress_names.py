"""waitress's keywords, as oxicorn's settings: for `oxicorn.serve` and `oxicorn migrate`.

Nothing is opened or started here, but for sockets that come in `sockets`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KEYWORDS", "REMARKS", "Meaning", "Translation", "is_keyword", "translate"]

_PORT = 8080
_YES = ("t", "true", "y", "yes", "on", "1")

# Keywords that are settings under another name.
_SETTINGS = {
    "channel_timeout": ("keepalive", "client_send_timeout"),
    "connection_limit": ("worker_connections",),
    "inbuf_overflow": ("body_memory",),
    "max_request_body_size": ("limit_request_body",),
    "max_request_header_size": ("limit_request_line", "limit_request_field_size"),
    "outbuf_high_watermark": ("response_buffer_limit",),
}

_FIELDS = {
    "x-forwarded-for": "x_for",
    "x-forwarded-host": "x_host",
    "x-forwarded-port": "x_port",
    "x-forwarded-proto": "x_proto",
}

# What has no effect, and why; without a value that stands for "no".
_NO_EFFECT = {
    "asyncore_loop_timeout": "oxicorn waits for events, not in rounds",
    "asyncore_use_poll": "oxicorn waits with epoll",
    "channel_request_lookahead": "what a client sends while its request runs waits in the kernel",
    "cleanup_interval": "time limits strike when they are due",
    "outbuf_overflow": "a response stays in memory up to 256 KiB",
    "recv_bytes": "oxicorn reads what is there",
    "send_bytes": "oxicorn sends what there is",
    "server_name": "SERVER_NAME is the address of the socket",
}
_NO_EFFECT_IF_ON = {
    "expose_tracebacks": "clients never see tracebacks; the error log has them",
    "log_socket_errors": "a client that leaves is not logged",
    "log_untrusted_proxy_headers": "`oxicorn explain-proxy` says what would be believed, and why",
}

REMARKS = {
    "channel_timeout": "between requests, and while a client takes nothing of its response",
    "max_request_header_size": "counts for the request line and for each field",
    "unix_socket_perms": "by default 600, as in waitress; the rest of the bits is the `umask`",
    "url_scheme": "in TOML: `oxicorn.middleware.PublicUrl(app, scheme=…)`, or `proxy_x_proto`",
    "url_prefix": "in TOML: `oxicorn.middleware.PublicUrl(app, prefix=…)`, or `proxy_x_prefix`",
    "trusted_proxy_headers": "without it, x-forwarded-proto, as in waitress",
    **{name: f"no effect: {reason}" for name, reason in {**_NO_EFFECT, **_NO_EFFECT_IF_ON}.items()},
}
"""What differs, by keyword."""


@dataclass(frozen=True)
class Meaning:
    """What a keyword becomes, for the guide."""

    keyword: str
    becomes: str
    remark: str


@dataclass
class Translation:
    """What a call meant for waitress asks of oxicorn."""

    settings: dict[str, Any] = field(default_factory=dict)
    no_effect: dict[str, str] = field(default_factory=dict)
    """Keywords that cannot be honoured, with the reason."""
    scheme: str | None = None
    prefix: str = ""


_TABLE = (
    ("listen", "`bind`"),
    ("host", "`bind`"),
    ("port", "`bind`"),
    ("ipv4", "`bind`"),
    ("ipv6", "`bind`"),
    ("sockets", "`bind`"),
    ("unix_socket", "`bind`"),
    ("unix_socket_perms", "`umask`"),
    ("backlog", "`backlog`"),
    ("threads", "`threads`"),
    ("url_scheme", ""),
    ("url_prefix", ""),
    ("ident", "`server_header`"),
    *((name, ", ".join(f"`{setting}`" for setting in to)) for name, to in _SETTINGS.items()),
    ("trusted_proxy", "`proxy`: `trusted`"),
    ("trusted_proxy_count", "`proxy`: `x_for`, `x_host`"),
    ("trusted_proxy_headers", "`proxy`: `x_for` and the like"),
    ("clear_untrusted_proxy_headers", "`proxy`: `strip`"),
    *((name, "") for name in (*_NO_EFFECT, *_NO_EFFECT_IF_ON)),
)
KEYWORDS = tuple(Meaning(name, to, REMARKS.get(name, "")) for name, to in _TABLE)
"""Every keyword that waitress knows, in the order of the guide."""


def is_keyword(name: str) -> bool:
    """Whether waitress knows the keyword, and oxicorn does not."""
    own = ("host", "port", "threads", "backlog")
    return name == "_quiet" or (name not in own and any(each[0] == name for each in _TABLE))


def translate(given: Mapping[str, Any]) -> Translation:
    """The settings that keywords of waitress stand for; names it does not know pass as they are.

    Raises `TypeError` where waitress too refuses keywords beside each other, and `ValueError` for a
    value that cannot be meant.
    """
    _refuse_contradictions(given)
    result = Translation()
    addresses = _addresses(given)
    if addresses is not None:
        result.settings["bind"] = addresses
    if "unix_socket" in given:
        permissions = int(str(given.get("unix_socket_perms") or "600"), 8)
        result.settings["umask"] = 0o777 & ~permissions
    proxy = _proxy(given)
    if proxy:
        result.settings["proxy"] = proxy
    for name, value in given.items():
        if name in _SETTINGS:
            result.settings.update(dict.fromkeys(_SETTINGS[name], value))
        elif name == "ident":
            result.settings["server_header"] = value or ""
        elif name == "url_scheme":
            result.scheme = str(value)
        elif name == "url_prefix":
            result.prefix = _slashed(str(value))
        elif name == "_quiet":
            if value:
                result.settings.setdefault("loglevel", "warning")
        elif name in _NO_EFFECT:
            if name != "channel_request_lookahead" or int(value):
                result.no_effect[name] = _NO_EFFECT[name]
        elif name in _NO_EFFECT_IF_ON:
            if is_on(value):
                result.no_effect[name] = _NO_EFFECT_IF_ON[name]
        elif not is_keyword(name) and name not in ("host", "port"):
            result.settings[name] = value
    return result


def is_on(value: object) -> bool:
    """Yes or no, as waitress reads texts."""
    return value if isinstance(value, bool) else str(value).strip().lower() in _YES


def _refuse_contradictions(given: Mapping[str, Any]) -> None:
    ways = [
        [name for name in names if name in given]
        for names in (("listen",), ("host", "port"), ("sockets",), ("unix_socket",), ("bind",))
    ]
    several = [names[0] for names in ways if names]
    if len(several) > 1:
        raise TypeError(f"`{several[0]}` and `{several[1]}` both say where to listen; give one")


def _addresses(given: Mapping[str, Any]) -> list[str] | None:
    """`None` if nothing says where to listen."""
    if "sockets" in given:
        sockets = [each for each in given["sockets"] if isinstance(each, socket.socket)]
        if not sockets:
            raise TypeError("`sockets`: expected sockets that are bound")
        for each in sockets:
            # waitress takes them bound; a second call changes no more than the backlog.
            each.listen(int(given.get("backlog", 1024)))
        return [f"fd://{each.fileno()}" for each in sockets]
    if "unix_socket" in given:
        return [f"unix:{given['unix_socket']}"]
    if "listen" in given:
        listen = given["listen"]
        places = listen.split() if isinstance(listen, str) else _words(listen)
    elif given.keys() & {"ipv4", "ipv6"} or given.get("host") == "*":
        host, port = given.get("host", "127.0.0.1"), given.get("port", 8000)
        places = [f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"]
    else:
        return None
    if not places:
        raise TypeError("`listen`: expected HOST:PORT")
    ipv4, ipv6 = is_on(given.get("ipv4", True)), is_on(given.get("ipv6", True))
    found: list[str] = []
    for place in places:
        found += _families(place, ipv4, ipv6)
    return list(dict.fromkeys(found))


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in str(text).split()]


def _families(place: str, ipv4: bool, ipv6: bool) -> list[str]:
    """The addresses that a place with `*` stands for."""
    host, separator, port = place.rpartition(":")
    if not separator or "]" in port:
        host, port = place, str(_PORT)
    if host not in ("*", ""):
        return [f"{host}:{port}"]
    return [f"0.0.0.0:{port}"] * ipv4 + [f"[::]:{port}"] * ipv6


def _proxy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The proxy group."""
    peer = given.get("trusted_proxy")
    for name in ("trusted_proxy_count", "trusted_proxy_headers"):
        if given.get(name) and not peer:
            raise TypeError(f"`{name}` has no meaning without `trusted_proxy`")
    if not peer:
        # Nobody is believed then, and what claims otherwise goes.
        clears = is_on(given.get("clear_untrusted_proxy_headers", False))
        return {"strip": "untrusted"} if clears else {}
    headers = given.get("trusted_proxy_headers") or ["x-forwarded-proto"]
    names = {name.lower() for name in (headers.split() if isinstance(headers, str) else headers)}
    unknown = names - {*_FIELDS, "x-forwarded-by", "forwarded"}
    if unknown:
        raise ValueError(f"trusted_proxy_headers: no such field: {', '.join(sorted(unknown))}")
    if "forwarded" in names and len(names) > 1:
        raise ValueError("trusted_proxy_headers: Forwarded and X-Forwarded-… exclude each other")
    count = int(given.get("trusted_proxy_count") or 1)
    group: dict[str, Any] = {"trusted": [str(peer)], "hop_check": "count"}
    if "forwarded" in names:
        group |= {"family": "forwarded", "forwarded": count}
    # Of the scheme and the port, waitress takes a field with a single value only.
    counts = {"x_for": count, "x_host": count}
    group |= {_FIELDS[name]: counts.get(_FIELDS[name], 1) for name in sorted(names & {*_FIELDS})}
    is_clearing = is_on(given.get("clear_untrusted_proxy_headers", True))
    group["strip"] = "unused" if is_clearing else "never"
    return group


def _slashed(prefix: str) -> str:
    trimmed = prefix.strip().strip("/")
    return f"/{trimmed}" if trimmed else ""
