"""Flask-Sock, with the options that its users set."""

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "subprotocols": ["chat"]}
sock = Sock(app)


@app.get("/")
def index():
    return "hello"


@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())


@sock.route("/greet/<name>")
def greet(ws, name):
    ws.send(f"hello {name}")
