"""An echo over a WebSocket: oxicorn --threads 8 websocket_app:app (needs flask-sock)."""

from urllib.parse import urlsplit

from flask import Flask, abort, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@app.before_request
def same_origin_only() -> None:
    """Pages of other sites get no WebSocket, as the browser would send them our cookies."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403)


@app.get("/")
def index() -> str:
    return "<script>new WebSocket(`ws://${location.host}/echo`)</script>"


@sock.route("/echo")
def echo(ws) -> None:
    while True:
        ws.send(ws.receive())
