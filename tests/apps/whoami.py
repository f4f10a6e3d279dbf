"""Answers with the process id of its worker, after `/N` milliseconds."""

import os
import time


def app(environ, start_response):
    wait = environ["PATH_INFO"].strip("/")
    if wait.isdigit():
        time.sleep(int(wait) / 1000)
    data = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]
