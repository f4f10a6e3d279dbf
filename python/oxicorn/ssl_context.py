"""The hook `ssl_context`: what it does to a context of Python's becomes settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oxicorn.config import Config

if TYPE_CHECKING:
    import ssl

__all__ = ["take_over"]


def take_over(cfg: Config) -> None:
    """Calls the hook, if there is one and TLS is spoken, and sets in `cfg` what came of it.

    Raises `ValueError` if the context is not the factory's, or has what no setting can say, and
    what the hook or a file raises.
    """
    settings = cfg.resolve()
    hook: Callable[..., Any] | None = settings.hook("ssl_context")
    if hook is None or not cfg.is_ssl:
        return

    # Python's TLS is loaded for nobody else.
    import ssl

    from oxicorn.recording_context import RecordingContext

    def default_ssl_context_factory() -> ssl.SSLContext:
        context = RecordingContext()
        if cfg.ca_certs:
            context.load_verify_locations(cfg.ca_certs)
        context.load_cert_chain(cfg.certfile or cfg.keyfile, cfg.keyfile)
        context.verify_mode = ssl.VerifyMode(cfg.cert_reqs)
        if cfg.tls_minimum_version == "1.3":
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        if cfg.ciphers:
            context.set_ciphers(cfg.ciphers)
        return context

    context = hook(cfg, default_ssl_context_factory)
    if not isinstance(context, RecordingContext):
        raise ValueError(
            "ssl_context: return what default_ssl_context_factory() makes: TLS is not Python's "
            "here, and of another context nobody knows the files (it is a "
            f"{type(context).__name__})"
        )
    for name, value in context.settings().items():
        if getattr(cfg, name) != value:
            cfg.set(name, value)
