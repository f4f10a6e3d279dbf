"""Starts the servers that have no command line: `serve.py SERVER APPLICATION PORT`."""

import importlib
import sys

import apps

server, application, port = sys.argv[1:]
app, port = getattr(apps, application), int(port)
if server == "gevent":
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), app, log=None).serve_forever()
elif server == "oxicorn-gevent":
    from oxicorn.gevent import WSGIServer

    WSGIServer(("127.0.0.1", port), app, log=None).serve_forever()
elif server == "tornado":
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.wsgi import WSGIContainer

    HTTPServer(WSGIContainer(app)).listen(port, "127.0.0.1")
    IOLoop.current().start()
elif server in ("oxicorn-tornado", "oxicorn-tornado-inline"):
    from tornado.ioloop import IOLoop

    from oxicorn.tornado import HTTPServer, WSGIContainer

    executor = "inline" if server.endswith("inline") else None
    HTTPServer(WSGIContainer(app, executor)).listen(port, "127.0.0.1")
    IOLoop.current().start()
elif server == "bjoern":
    importlib.import_module(server).run(app, "127.0.0.1", port)
elif server == "freastal":
    importlib.import_module(server).serve(app, "127.0.0.1", port)
else:
    importlib.import_module(server).run(app, host="127.0.0.1", port=port, loglevel=0)
