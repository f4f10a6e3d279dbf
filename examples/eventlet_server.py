"""eventlet's hub with our server on it: `python eventlet_server.py [PORT]` in this folder."""

import sys

import eventlet

from oxicorn.eventlet import server


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for second in range(3):
        yield b"%d\n" % second
        eventlet.sleep(0.1)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    server(eventlet.listen(("127.0.0.1", port)), app)
