"""Starts the servers that have no command line: `serve.py SERVER APPLICATION PORT`."""

import importlib
import sys

import apps

server, application, port = sys.argv[1:]
module = importlib.import_module(server)
app = getattr(apps, application)
if server == "bjoern":
    module.run(app, "127.0.0.1", int(port))
else:
    module.run(app, host="127.0.0.1", port=int(port), loglevel=0)
