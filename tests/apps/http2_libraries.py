"""A program that serves HTTP/2 inside TLS by a library's own API, until TERM.

Arguments: the library, `http_protocols`, and the files of a certificate and of its key. It prints
the port.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from wsgiref.util import shift_path_info

HOST = "127.0.0.1"


def app(environ, start_response):
    """The applications of other tests, below their names."""
    from apps import mirror, responses, sleepy

    apps = {"mirror": mirror.app, "responses": responses.app, "sleepy": sleepy.app}
    return apps[shift_path_info(environ)](environ, start_response)


def tell(port):
    print(port, flush=True)


def by_gevent(tls):
    import gevent
    from gevent import monkey

    monkey.patch_all()
    from gevent.pool import Pool

    from oxicorn.gevent import WSGIServer

    server = WSGIServer((HOST, 0), app, spawn=Pool(20), **tls)
    server.start()
    server.stop_timeout = 30
    gevent.signal_handler(signal.SIGTERM, server.stop)
    tell(server.server_port)
    server.serve_forever()


def by_eventlet(tls):
    import eventlet

    eventlet.monkey_patch()
    from oxicorn.eventlet import server

    sock = eventlet.listen((HOST, 0))
    serving = eventlet.spawn(server, sock, app, **tls)
    signal.signal(signal.SIGTERM, lambda *given: serving.kill())
    tell(sock.getsockname()[1])
    with contextlib.suppress(eventlet.greenlet.GreenletExit):
        serving.wait()


def by_tornado(tls, executor=None):
    from oxicorn.tornado import HTTPServer, WSGIContainer

    async def serve():
        server = HTTPServer(WSGIContainer(app, executor), ssl_options=tls)
        server.listen(0, HOST)
        [sock] = server._sockets.values()
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        tell(sock.getsockname()[1])
        await over.wait()
        await server.close_all_connections()

    asyncio.run(serve())


if __name__ == "__main__":
    library, protocols, chain, key = sys.argv[1:]
    tls = {"certfile": chain, "keyfile": key, "http_protocols": protocols}
    if library == "gevent":
        by_gevent(tls)
    elif library == "eventlet":
        by_eventlet(tls)
    else:
        by_tornado(tls, "inline" if library == "tornado inline" else None)
