"""A Flask site that logs through the server's loggers, as many guides advise."""

import logging
import os

from flask import Flask, jsonify, request

app = Flask(__name__)
server = logging.getLogger("gunicorn.error")
app.logger.handlers = server.handlers
app.logger.setLevel(server.level)


@app.get("/")
def home():
    app.logger.info("at home", extra={"basket": 3})
    return jsonify(pid=os.getpid(), worker=os.environ.get("SHOP_WORKER"))


@app.get("/health")
def health():
    return "well"


@app.get("/broken")
def broken():
    raise RuntimeError("broken on purpose")


@app.get("/warned")
def warned():
    app.logger.warning("careful, %s", request.args["who"])
    return "warned"


# What goes wrong outside of Flask's own handling reaches the server.
def application(environ, start_response):
    if environ["PATH_INFO"] == "/outside":
        raise LookupError("outside of Flask")
    return app(environ, start_response)
