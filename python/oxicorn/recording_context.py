"""A context of Python's ssl module that says in settings what was done to it.

TLS is rustls' here, so this one speaks with nobody. It judges what it is told as Python does, and
remembers what settings can say.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from typing import Any

__all__ = ["RecordingContext"]

_PROTOCOLS = {"h2": "h2", "http/1.1": "h1"}


class RecordingContext(ssl.SSLContext):
    """A context for servers that remembers its files, ciphers and protocols."""

    def __new__(cls) -> RecordingContext:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.told = {}
        return context

    told: dict[str, Any]
    """What settings can say, by their names."""

    def load_cert_chain(
        self,
        certfile: str | bytes | os.PathLike[Any],
        keyfile: str | bytes | os.PathLike[Any] | None = None,
        password: Any = None,
    ) -> None:
        """As in Python, but without a password. The last one called counts."""
        if password is not None:
            raise ValueError("ssl_context: keys must not be encrypted: take the password off")
        super().load_cert_chain(certfile, keyfile)
        self.told["certfile"] = os.fsdecode(certfile)
        self.told["keyfile"] = None if keyfile is None else os.fsdecode(keyfile)

    def load_verify_locations(
        self,
        cafile: str | bytes | os.PathLike[Any] | None = None,
        capath: str | bytes | os.PathLike[Any] | None = None,
        cadata: Any = None,
    ) -> None:
        """As in Python, but of a file only."""
        if cafile is None or capath is not None or cadata is not None:
            raise ValueError("ssl_context: name the authorities of clients by one file (cafile)")
        super().load_verify_locations(cafile)
        self.told["ca_certs"] = os.fsdecode(cafile)

    def set_ciphers(self, ciphers: str, /) -> None:
        """As in Python; which of them there are is judged by `ciphers`, the setting."""
        super().set_ciphers(ciphers)
        self.told["ciphers"] = ciphers

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """`h2` and `http/1.1`, the best first."""
        names = list(alpn_protocols)
        for name in names:
            if name not in _PROTOCOLS:
                raise ValueError(f"ssl_context: {name!r} is not spoken; there are h2, http/1.1")
        super().set_alpn_protocols(names)
        self.told["http_protocols"] = ",".join(_PROTOCOLS[name] for name in names)

    @property
    def sni_callback(self) -> Any:
        """None: there is `tls_certificates`."""
        return None

    @sni_callback.setter
    def sni_callback(self, callback: Any) -> None:
        if callback is not None:
            raise ValueError("ssl_context: certificates by server name are in `tls_certificates`")

    def settings(self) -> dict[str, Any]:
        """What it was told, by setting; `ValueError` for what cannot be."""
        newest = self.maximum_version
        if self.options & ssl.OP_NO_TLSv1_3 or newest not in (
            ssl.TLSVersion.MAXIMUM_SUPPORTED,
            ssl.TLSVersion.TLSv1_3,
        ):
            raise ValueError("ssl_context: TLS 1.3 is spoken with every client that can")
        no_older = self.options & ssl.OP_NO_TLSv1_2
        is_1_3 = no_older or self.minimum_version == ssl.TLSVersion.TLSv1_3
        return {
            **self.told,
            "cert_reqs": int(self.verify_mode),
            "tls_minimum_version": "1.3" if is_1_3 else "1.2",
        }
