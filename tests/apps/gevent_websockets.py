"""gevent-websocket's `wsgi.websocket`, as its own documentation and Flask-Sockets use it."""

from geventwebsocket import WebSocketError


def app(environ, start_response):
    """Echoes; to others it says what is in environ."""
    ws = environ.get("wsgi.websocket")
    if ws is None:
        said = [name in environ for name in ("wsgi.websocket", "gunicorn.socket")]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(said).encode()]
    if environ["PATH_INFO"] == "/about":
        client = ws.handler.active_client
        host, port = client.address
        said = ws.path, ws.version, ws.origin, ws.protocol, host, port > 0, client.ws is ws
        ws.send(repr((*said, environ["wsgi.websocket_version"])))
        return []
    if environ["PATH_INFO"] == "/fail":
        raise LookupError("no such thing")
    if environ["PATH_INFO"] == "/everybody":
        ws.receive()
        for client in list(ws.handler.server.clients.values()):
            client.ws.send("to everybody")
        return []
    try:
        while (message := ws.receive()) is not None:
            ws.send(message)
    except WebSocketError:
        pass
    return []
