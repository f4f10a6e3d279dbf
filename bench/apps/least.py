"""Serves an application with the least server that can call one, `bench/floor/wsgi.c`.

`least.py FOLDER_OF_THE_MODULE APPLICATION PORT`
"""

import socket
import sys
from wsgiref.util import setup_testing_defaults

folder, name, port = sys.argv[1:]
sys.path.insert(0, folder)
import wsgi  # noqa: E402 (compiled, and found in that folder)

import apps  # noqa: E402

environ = {
    "PATH_INFO": "/record" if name == "flask_record" else "/",
    "QUERY_STRING": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_PORT": port,
    "HTTP_HOST": f"127.0.0.1:{port}",
}
setup_testing_defaults(environ)
listener = socket.create_server(("127.0.0.1", int(port)), backlog=1024)
listener.setblocking(False)
wsgi.serve(getattr(apps, name), environ, listener.fileno())
