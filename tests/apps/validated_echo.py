"""Gives the body back in the pieces it was read in, by each way of reading that PEP 3333 names."""


def app(environ, start_response):
    stream = environ["wsgi.input"]
    read = {
        "/read": lambda: [stream.read(int(environ.get("CONTENT_LENGTH") or 0))],
        "/pieces": lambda: list(iter(lambda: stream.read(1000), b"")),
        "/lines": lambda: list(stream),
        "/readlines": lambda: stream.readlines(),
        "/readline": lambda: list(iter(stream.readline, b"")),
    }
    pieces = read[environ["PATH_INFO"]]()
    environ["wsgi.errors"].write("read the body\n")
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return pieces
