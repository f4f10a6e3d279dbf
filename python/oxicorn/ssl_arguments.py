"""The arguments of Python's ssl module that other servers take, as settings of TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

# The last one is ours: elsewhere only a context can say it.
_SETTINGS = ("certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers", "http_protocols")
# Details of how Python's sockets shake hands: there are none here.
_MEANINGLESS = ("do_handshake_on_connect", "server_side", "ssl_version", "suppress_ragged_eofs")


def settings_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The settings that `wrap_socket`'s arguments mean; `TypeError` for what cannot be meant."""
    for name, value in given.items():
        if isinstance(value, ssl.SSLContext):
            raise TypeError(
                f"{name}: TLS is not Python's here, and no SSLContext tells what files it was made "
                "of: give certfile and keyfile (and ca_certs, cert_reqs, ciphers) instead"
            )
        if name not in (*_SETTINGS, *_MEANINGLESS):
            raise TypeError(f"{name}: not known of TLS here; there are {', '.join(_SETTINGS)}")
    if not given.get("certfile"):
        raise TypeError("certfile: TLS needs the file of a certificate")
    values = {name: str(given[name]) for name in _SETTINGS if given.get(name)}
    if "cert_reqs" in values:
        values["cert_reqs"] = str(int(given["cert_reqs"]))
    return values
