"""An authority of our own, and what it signs, as files."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import trustme


class Authority:
    """Signs certificates for servers and clients; its files are in a folder of the tests."""

    def __init__(self, folder: Path, name: str = "Test") -> None:
        self._ca = trustme.CA(organization_name=name)
        self._folder = folder
        self._count = 0
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, kind: str = "ECDSA", **options: object) -> tuple[Path, Path]:
        """A certificate with its chain, and its key."""
        issued = self._ca.issue_cert(*names, key_type=trustme.KeyType[kind], **options)
        self._count += 1
        chain = self._folder / f"{self._count}.pem"
        key = self._folder / f"{self._count}.key"
        for path in (chain, key):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        key.write_bytes(issued.private_key_pem.bytes())
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return chain, key

    def context(self, **changes: object) -> ssl.SSLContext:
        """A client that trusts this authority, with these attributes of its context changed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.file))
        for name, value in changes.items():
            setattr(context, name, value)
        return context
