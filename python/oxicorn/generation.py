"""A generation: a set of workers with the same settings, and what its members share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from oxicorn import _oxicorn, listening, ssl_context
from oxicorn.config import Config
from oxicorn.errors import CannotStart, reason_of
from oxicorn.starting import Surroundings

__all__ = ["Generation", "identity", "or_cannot_start"]


@dataclass
class Generation:
    """What the workers of one set share."""

    cfg: Config
    listeners: dict[str, _oxicorn.Listener]
    """By address as the settings write it."""
    app: Any
    """What hooks find as `worker.app`."""
    surroundings: Surroundings
    credentials: _oxicorn.Credentials | None = None
    """Certificates and keys, if TLS is spoken."""
    passage: _oxicorn.Passage | None = None
    """Where its workers hand connections to each other, and no others."""

    @property
    def settings(self) -> _oxicorn.Settings:
        """The settings as the engine takes them."""
        return self.cfg.resolve()

    def where(self, addresses: Iterable[str]) -> str:
        """How clients reach some of its listeners."""
        texts = (self.listeners[address].text for address in addresses)
        if self.credentials is not None:
            texts = (text.replace("http://", "https://", 1) for text in texts)
        return ",".join(texts)

    def bind(
        self,
        addresses: Iterable[str],
        opened: Mapping[str, _oxicorn.Listener],
        log: Any,
        is_told_to_stop: Callable[[], bool],
    ) -> None:
        """Opens what is shared; listeners that are open already are taken as they are.

        Raises `CannotStart`, or `KeyboardInterrupt` when the server is told to stop meanwhile.
        """
        or_cannot_start(ssl_context.take_over, self.cfg)
        settings = self.settings
        addresses = list(addresses)
        owner = identity(settings) if settings.user or settings.group else None
        for address in dict.fromkeys(addresses):
            self.listeners[address] = opened.get(address) or listening.listen(
                address,
                log,
                is_told_to_stop,
                backlog=settings.backlog,
                reuse_port=settings.reuse_port,
                # One socket for all addresses would leave nothing to a second one for IPv4.
                v6_only="0.0.0.0:" + address.rpartition(":")[2] in addresses,
                umask=settings.umask,
                owner=owner,
            )
        self.credentials = or_cannot_start(_oxicorn.Credentials.of, settings)
        if settings.worker_handoff and settings.workers > 1:
            self.passage = or_cannot_start(_oxicorn.Passage)

    def close_what_is_not_its(self, others: Iterable[Generation]) -> None:
        """In one of its workers: closes what only other generations have."""
        mine = self.listeners.values()
        for other in others:
            for listener in other.listeners.values():
                if listener not in mine:
                    listener.close()
            if other is not self and other.passage is not None:
                # What is left in it must end with the workers it belongs to.
                other.passage.close()


def identity(settings: Any) -> tuple[int, int]:
    """The numbers of the user and group that workers run as."""
    return _oxicorn.find_identity(settings.user, settings.group)


def or_cannot_start(function: Callable[..., Any], *args: object) -> Any:
    """Calls it; what the system or a value is against is `CannotStart`."""
    try:
        return function(*args)
    except (OSError, ValueError) as error:
        raise CannotStart(reason_of(error)) from error
