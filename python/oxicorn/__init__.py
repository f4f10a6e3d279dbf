"""oxicorn: a WSGI server in Rust."""

from oxicorn._oxicorn import Scoreboard, SettingError, __version__
from oxicorn.server import Server, WSGIServer, serve

__all__ = ["Scoreboard", "Server", "SettingError", "WSGIServer", "__version__", "serve"]
