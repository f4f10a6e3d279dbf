"""What programs see of `eventlet.wsgi.server`; the first argument names the module."""

from __future__ import annotations

import sys

import eventlet
from eventlet.event import Event

eventlet.monkey_patch()

import http.client  # noqa: E402
import importlib  # noqa: E402
import logging  # noqa: E402

from eventlet.greenpool import GreenPool  # noqa: E402

from apps.telling import outcome, say  # noqa: E402

server = importlib.import_module(sys.argv[1]).server


def is_of_request(line):
    """Not of the server's life, nor of connections, of which only eventlet speaks."""
    return "wsgi " not in line and ") accepted " not in line


class Log:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def lines(self):
        eventlet.sleep(0.1)
        return [line for line in self.text.splitlines() if is_of_request(line)]


DONE, WAITING, GATE = [], [], Event()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("no such thing")
    if path == "/nap":
        eventlet.sleep(0.2)
    if path == "/wait":
        WAITING.append(path)
        GATE.wait(60)
    if path == "/hook":
        environ["eventlet.posthooks"].append((note, (1,), {"two": 2}))
    body = b"hello"
    if path == "/environ":
        body = repr([environ.get(name) for name in environ["QUERY_STRING"].split(",")]).encode()
    elif path == "/read":
        body = environ["eventlet.input"].read()
    elif path == "/lines":
        body = repr(environ["wsgi.input"].readline()).encode()
    elif path == "/raw":
        body = repr([name for name, _ in environ["headers_raw"] if name.startswith("X-")]).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def note(environ, one, two):
    DONE.append((environ["PATH_INFO"], one, two))


def begin(**given):
    sock = eventlet.listen(("127.0.0.1", 0))
    given.setdefault("log", Log())
    greenlet = eventlet.spawn(server, sock, app, **given)
    eventlet.sleep(0)
    return sock.getsockname()[1], greenlet


def ask(port, path="/", method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def raw(port, data):
    with eventlet.connect(("127.0.0.1", port)) as sock:
        sock.sendall(data)
        answer = sock.makefile("rb").read()
    return answer.partition(b"\r\n")[0].split(b" ")[1:2], answer.endswith(b"hello")


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def end(greenlet):
    greenlet.kill()
    while not greenlet.dead:
        eventlet.sleep(0.01)


def arguments():
    port, _ = begin(environ={"mine": 1})
    say(ask(port, "/environ?mine,wsgi.version,wsgi.url_scheme,wsgi.multithread,wsgi.run_once"))
    say(ask(port, "/environ?REQUEST_METHOD,SCRIPT_NAME,PATH_INFO,REMOTE_ADDR,GATEWAY_INTERFACE"))
    say(ask(port, "/read", "POST", b"abc"), ask(port, "/lines", "POST", b"a\nb\n"))
    say(ask(port, "/hook"), eventlet.sleep(0.1), DONE)
    say(ask(port, "/raw", headers={"X-A": "1"})[0], ask(port, "/", "HEAD"))
    for given in ({"max_size": 1}, {"custom_pool": GreenPool(1)}, {}):
        port, _ = begin(**given)
        say(list(given), list(GreenPool().imap(ask, [port] * 3, ["/nap", "/", "/"])))
    for given, sent in (
        ({"keepalive": False}, REQUEST),
        ({"keepalive": 1}, REQUEST),
        ({"socket_timeout": 1}, REQUEST),
        ({"socket_timeout": 1}, b""),
    ):
        port, _ = begin(**given)
        say(given, raw(port, sent))
    port, _ = begin(url_length_limit=100)
    say([ask(port, "/" + "a" * size)[0] for size in (50, 200)])
    port, _ = begin()
    say([ask(port, "/" + "a" * size)[0] for size in (8000, 9000)])
    many = [{f"X-{n}": "a" * 1000 for n in range(count)} for count in (30, 90)]
    say([ask(port, headers=fields)[0] == 200 for fields in many])
    say([ask(port, headers={"X-A": "a" * size})[0] == 200 for size in (8000, 9000)])


def logs():
    log = Log()
    port, greenlet = begin(log=log, log_format="%(client_ip)s %(request_line)s %(status_code)s")
    ask(port, "/a?b=c")
    say(log.lines())
    say("wsgi starting up on" in log.text, "wsgi exited" in log.text)
    end(greenlet)
    say("wsgi exited" in log.text)
    log = Log()
    port, _ = begin(log=log, log_output=False)
    ask(port)
    say(log.lines())
    records = []
    logger = logging.getLogger("mine")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logger.addHandler(handler)
    port, _ = begin(log=logger, log_format="%(request_line)s")
    ask(port)
    eventlet.sleep(0.1)
    say([record for record in records if is_of_request(record[1])])
    keys = ("client_ip", "client_port", "date_time", "request_line", "status_code")
    keys += ("body_length", "wall_seconds")
    log = Log()
    port, _ = begin(log=log, log_format="|".join(f"%({key})s" for key in keys))
    ask(port)
    say([len(line.split("|")) for line in log.lines()])
    log = Log()
    port, _ = begin(log=log)
    say(ask(port, "/fail")[0], "LookupError: no such thing" in log.text)


def ends():
    port, greenlet = begin()
    waiting = eventlet.spawn(ask, port, "/wait")
    while not WAITING:
        eventlet.sleep(0.01)
    eventlet.spawn_after(0.2, GATE.send)
    end(greenlet)
    say(waiting.wait(), outcome(ask, port))
    sock = eventlet.listen(("127.0.0.1", 0))
    greenlet = eventlet.spawn(server, sock, app, log=Log())
    eventlet.sleep(0.1)
    say(ask(sock.getsockname()[1]))
    port = sock.getsockname()[1]
    end(greenlet)
    again = outcome(eventlet.listen, ("127.0.0.1", port))
    say("its address is free", type(again).__name__, sock.fileno())

    def stopping(environ, start_response):
        start_response("200 OK", [])
        raise KeyboardInterrupt

    say(outcome(server, sock, app))


def sockets():
    path = f"/tmp/oxicorn-{id(app)}"
    sock = eventlet.listen(path, family=1)
    eventlet.spawn(server, sock, app, log=Log())
    eventlet.sleep(0.1)
    with eventlet.connect(path, family=1) as client:
        client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        say(client.makefile("rb").read().endswith(b"hello"))


if __name__ == "__main__":
    globals()[sys.argv[2]]()
