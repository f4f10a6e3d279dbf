"""In place of gevent.pywsgi: the same names, this engine.

Each request runs in a greenlet of its own, when its head and body are there; an idle connection
costs no greenlet. Reading, limits, buffers and time limits are the engine's. Only handler classes
that want to see the socket get the whole connection, and parse it themselves.
"""

from gevent.pywsgi import (
    Environ,
    Input,
    LoggingLogAdapter,
    SecureEnviron,
    WSGISecureEnviron,
)

from oxicorn.gevent.handler import WSGIHandler
from oxicorn.gevent.server import WSGIServer

__all__ = [
    "Environ",
    "Input",
    "LoggingLogAdapter",
    "SecureEnviron",
    "WSGIHandler",
    "WSGISecureEnviron",
    "WSGIServer",
]
