"""Tells its environ: a JSON object of the `repr` of each value, and keeps what it was told."""

import json

seen = []


def app(environ, start_response):
    told = {name: repr(value) for name, value in environ.items()}
    told["type"] = type(environ).__name__
    # Must not come back in any later request (PEP 3333 allows any change).
    environ["wsgi.version"] = "changed"
    environ["SERVER_NAME"] = "changed"
    environ["MINE"] = "kept"
    environ["wsgi.errors"].write("")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
