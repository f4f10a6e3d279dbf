"""oxicorn: a WSGI server in Rust."""

from oxicorn._oxicorn import __version__

__all__ = ["__version__"]
