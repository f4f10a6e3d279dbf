"""A Flask site with a factory, as it stands in an image."""

import os
import subprocess
import sys
import time

from flask import Flask, jsonify, request


def create_app():
    app = Flask(__name__)

    @app.get("/")
    def home():
        return jsonify(
            scheme=request.scheme,
            pid=os.getpid(),
            parent=os.getppid(),
            server=request.environ["SERVER_SOFTWARE"].partition("/")[0],
            multithread=request.environ["wsgi.multithread"],
            multiprocess=request.environ["wsgi.multiprocess"],
        )

    @app.get("/slow")
    def slow():
        print("slow begins", file=sys.stderr, flush=True)
        time.sleep(1)
        return "slow"

    @app.post("/orders")
    def orders():
        return jsonify(request.get_json()), 201

    @app.get("/orphan")
    def orphan():
        """Leaves a process behind, whose parent is the first process of the container then."""
        subprocess.run(["sh", "-c", "sleep 0.2 &"], check=True)
        return "left"

    return app
