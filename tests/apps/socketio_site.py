"""Flask-SocketIO in the mode that ASYNC_MODE names."""

import os
import sys

if "WITH_PACKAGE" not in os.environ:
    # Its mode for gevent would insist on that package's own server if it is installed.
    sys.modules["geventwebsocket"] = None

from flask import Flask, request
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["ASYNC_MODE"])


@app.get("/")
def index():
    return "hello"


@socketio.event
def say(text):
    emit("said", text)
    return len(text)


@socketio.event
def shout(text):
    socketio.start_background_task(socketio.emit, "shouted", text.upper())


@socketio.event
def transport():
    return socketio.server.transport(request.sid)
