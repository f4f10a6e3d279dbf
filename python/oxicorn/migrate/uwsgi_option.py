"""One line of a file of uWSGI's."""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """A name and its value."""

    name: str
    value: str
    """Empty if the name stands alone, which means yes."""
    origin: str
    """File and line."""
    unknown: tuple[str, ...] = ()
    """Placeholders in it that nothing is known of."""
    variables: tuple[str, ...] = ()
    """Variables of the environment that were filled in."""
    decision: str = ""
    """For the head of a block: what became of it."""

    @property
    def is_on(self) -> bool:
        """The value of an option that is yes or no."""
        return self.value.lower() in ("", "true", "yes", "1", "on")
