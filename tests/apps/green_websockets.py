"""WebSockets on `oxicorn.gevent.WSGIServer`: prints its port, serves until its input ends.

Its arguments are the application, whether gevent-websocket serves the connections, and how many
requests may run at a time.
"""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402

from apps import conversations  # noqa: E402
from oxicorn.gevent import WSGIServer  # noqa: E402


def own_echo(environ, start_response):
    """gevent-websocket as its documentation uses it."""
    socket = environ.get("wsgi.websocket")
    if socket is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"no websocket"]
    while (message := socket.receive()) is not None:
        socket.send(message)
    return []


def flask_socketio():
    from flask import Flask
    from flask_socketio import SocketIO, emit

    site = Flask(__name__)
    sockets = SocketIO(site, async_mode="gevent")
    sockets.on_event("say", lambda text: emit("said", text))
    sockets.on_event("shout", lambda text: sockets.emit("shouted", text.upper()))
    return site


APPS = {"own_echo": own_echo, "simple_echo": conversations.app, "flask_socketio": None}


def main():
    app = APPS[sys.argv[1]] or flask_socketio()
    handler = None
    if sys.argv[2] == "gevent-websocket":
        from geventwebsocket.handler import WebSocketHandler as handler
    spawn = int(sys.argv[3]) if len(sys.argv) > 3 else "default"
    server = WSGIServer(("127.0.0.1", 0), app, handler_class=handler, spawn=spawn)
    server.start()
    print(server.server_port, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.read)
    server.stop()


if __name__ == "__main__":
    main()
