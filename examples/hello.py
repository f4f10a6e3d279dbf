"""The least that can be served: `oxicorn hello` in this folder."""


def application(environ, start_response):
    body = b"Hello from oxicorn\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
