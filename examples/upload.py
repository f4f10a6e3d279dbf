"""Takes any upload and tells its size and digest: `oxicorn upload:app`.

Try it: `curl --data-binary @some-file http://127.0.0.1:8000/`. The body has arrived as a whole
before the application is called, so a slow client costs no thread; large ones wait in a temporary
file that `wsgi.input` reads.
"""

import hashlib


def app(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(1 << 16):
        digest.update(piece)
        size += len(piece)
    body = f"{size} bytes, sha256 {digest.hexdigest()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
