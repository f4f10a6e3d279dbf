"""Tornado's loop with our server on it: `python tornado_server.py [PORT]` in this folder.

The application runs on threads beside the loop, which goes on with handlers and timers of yours.
"""

import sys
import time

from tornado.ioloop import IOLoop, PeriodicCallback

from oxicorn.tornado import HTTPServer, WSGIContainer

TICKS = []


def app(environ, start_response):
    before = len(TICKS)
    time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the loop went on\n" if len(TICKS) > before else b"the loop stood still\n"]


if __name__ == "__main__":
    server = HTTPServer(WSGIContainer(app))
    server.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    PeriodicCallback(lambda: TICKS.append(time.time()), 50).start()
    IOLoop.instance().start()
