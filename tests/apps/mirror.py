"""Tells what it was asked: one JSON object with the facts and the whole body."""

import json


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    told = {
        "method": environ["REQUEST_METHOD"],
        "script": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "protocol": environ["SERVER_PROTOCOL"],
        "length": environ.get("CONTENT_LENGTH"),
        "type": environ.get("CONTENT_TYPE"),
        "scheme": environ["wsgi.url_scheme"],
        "peer": environ["REMOTE_ADDR"],
        "names": sorted(environ),
        "fields": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
        "body": body.decode("latin-1"),
    }
    data = json.dumps(told).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    )
    return [data]
