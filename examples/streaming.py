"""Server-sent events: `oxicorn streaming:app`, then `curl -N http://127.0.0.1:8000/`.

Each item that the application yields goes out at once. A worker thread stays with the stream until
it ends, so give a site with many of them many threads: `oxicorn --threads 50 streaming:app`.
"""

import time

SECONDS = 0.1
EVENTS = 20


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return events()


def events():
    for number in range(EVENTS):
        yield f"data: {number}\n\n".encode()
        time.sleep(SECONDS)
