"""`/N` answers after N milliseconds with the path; without a number, at once."""

import time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.strip("/").isdigit():
        time.sleep(int(path.strip("/")) / 1000)
    data = path.encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
