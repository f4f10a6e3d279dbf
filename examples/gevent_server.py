"""gevent's hub with our server on it: `python gevent_server.py [PORT]` in this folder."""

import sys

import gevent

from oxicorn.gevent import WSGIServer


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for second in range(3):
        yield b"%d\n" % second
        gevent.sleep(0.1)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    WSGIServer(("127.0.0.1", port), app).serve_forever()
