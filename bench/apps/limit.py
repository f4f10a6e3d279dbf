"""Prints what one call of an application costs without a server, in microseconds of CPU time.

`limit.py APPLICATION PATH [FIELD: VALUE]...`: environ is copied for each call, `start_response`
keeps nothing, and the body is joined. No server can take less than this and the kernel's part.
"""

import sys
import time
from wsgiref.util import setup_testing_defaults

import apps

SECS = 0.5
ROUNDS = 5

name, path, *fields = sys.argv[1:]
app = getattr(apps, name)
environ = {"PATH_INFO": path, "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
setup_testing_defaults(environ)
for line in fields:
    field, _, value = line.partition(": ")
    environ["HTTP_" + field.upper().replace("-", "_")] = value


def start_response(status, headers, exc_info=None):
    return None


def call(times):
    began = time.process_time()
    for _ in range(times):
        items = app(dict(environ), start_response)
        b"".join(items)
        if hasattr(items, "close"):
            items.close()
    return time.process_time() - began


times = 1
while (took := call(times)) < SECS / 10:
    times *= 2
times = max(1, round(times * SECS / took / ROUNDS))
print(1e6 * min(call(times) for _ in range(ROUNDS)) / times)
