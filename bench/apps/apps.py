"""What the servers serve while they are measured: as little as possible, so that they show."""

from importlib.util import find_spec

HELLO = b"Hello, World!\n"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))])
    return [HELLO]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


if find_spec("flask"):
    from flask import Flask

    flask_hello = Flask(__name__)

    @flask_hello.get("/")
    def index():
        return HELLO, {"Content-Type": "text/plain"}
