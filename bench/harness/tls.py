"""The certificate that all servers have, and how its clients check it."""

import ssl
import subprocess
import tempfile
from functools import cache
from pathlib import Path


class Certificate:
    """A key on P-256 and a certificate for 127.0.0.1 that it signed itself, for this run only."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oxicorn-bench-tls-")
        self.cert = Path(self._folder.name) / "cert.pem"
        self.key = Path(self._folder.name) / "key.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        argv += ["-noenc", "-days", "30", "-subj", "/CN=127.0.0.1"]
        argv += ["-addext", "subjectAltName=IP:127.0.0.1"]
        argv += ["-keyout", str(self.key), "-out", str(self.cert)]
        subprocess.run(argv, check=True, capture_output=True)


@cache
def certificate() -> Certificate:
    """The one of this run."""
    return Certificate()


@cache
def client_context() -> ssl.SSLContext:
    """What trusts that certificate only."""
    return ssl.create_default_context(cafile=str(certificate().cert))
