"""What the servers serve while they are measured: as little as possible, so that they show.

`BODIES` has what each application answers, for the check before a measurement.
"""

import json
import os
import tempfile
import time
from importlib.util import find_spec

HELLO = b"Hello, World!\n"
BLOCK = bytes(range(256)) * 64
BLOCKS = 64
FILE_BYTES = 10 * 2**20
RECORD = {f"field{number}": ["text", number, {"flag": True}] for number in range(29)}
PAUSE_SECS = float(os.environ.get("BENCH_PAUSE_SECS", "0.3"))
SLEEP_SECS = 0.01
SLOW_SECS = 0.2

BODIES = {
    "hello": HELLO,
    "headers": HELLO,
    "record": json.dumps(RECORD).encode(),
    "stream": BLOCK * BLOCKS,
    "file": BLOCK * (FILE_BYTES // len(BLOCK)),
    "sleep": HELLO,
    "green_sleep": HELLO,
    "flask_hello": HELLO,
    # Flask's own spaces and order may differ.
    "flask_record": json.dumps(RECORD).encode(),
    "django_hello": HELLO,
}

OWN_FIELDS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(HELLO))),
    ("Cache-Control", "private, max-age=0, must-revalidate"),
    ("Content-Language", "en"),
    ("ETag", '"5d8c72a5edda8d6a"'),
    ("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT"),
    ("Referrer-Policy", "same-origin"),
    ("Set-Cookie", "theme=dark; Path=/; HttpOnly; SameSite=Lax"),
    ("Vary", "Accept-Encoding, Cookie"),
    ("X-Content-Type-Options", "nosniff"),
]


def plain(length):
    return [("Content-Type", "text/plain"), ("Content-Length", str(length))]


def hello(environ, start_response):
    start_response("200 OK", plain(len(HELLO)))
    return [HELLO]


def headers(environ, start_response):
    start_response("200 OK", list(OWN_FIELDS))
    return [HELLO]


def record(environ, start_response):
    body = json.dumps(RECORD).encode()
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", fields)
    return [body]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", plain(len(body)))
    return [body]


def swallow(environ, start_response):
    body = str(len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))).encode()
    start_response("200 OK", plain(len(body)))
    return [body]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for _ in range(BLOCKS):
        yield BLOCK


def file(environ, start_response):
    source = open(FILE_PATH, "rb")  # noqa: SIM115 (the server closes it)
    fields = [("Content-Type", "application/octet-stream"), ("Content-Length", str(FILE_BYTES))]
    start_response("200 OK", fields)
    if wrapper := environ.get("wsgi.file_wrapper"):
        return wrapper(source, 64 * 1024)
    return pieces(source)


def pieces(source):
    with source:
        while block := source.read(64 * 1024):
            yield block


def sleep(environ, start_response):
    time.sleep(SLEEP_SECS)
    return hello(environ, start_response)


def green_sleep(environ, start_response):
    """A wait that lets other greenlets run."""
    import gevent

    gevent.sleep(SLEEP_SECS)
    return hello(environ, start_response)


def mixed(environ, start_response):
    """Slow at one path, and fast at all others: `bench/head_of_line` asks for both."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW_SECS)
    return hello(environ, start_response)


class Pieces:
    """A first piece, and after a while the time at which the second one is made."""

    closed = 0

    def __iter__(self):
        yield b"first "
        time.sleep(PAUSE_SECS)
        yield b"%.6f" % time.monotonic()

    def close(self):
        Pieces.closed += 1


def probe(environ, start_response):
    """Tells what arrived, for `harness/conformance.py`."""
    if environ["PATH_INFO"] == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Pieces()
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = environ["wsgi.input"].read(int(length))
    elif environ.get("HTTP_TRANSFER_ENCODING") or environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    else:
        body = b""
    told = {
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
        "body": body.decode("latin-1"),
        "list": environ.get("HTTP_X_LIST"),
        "address": environ.get("REMOTE_ADDR"),
        "closed": Pieces.closed,
    }
    answer = json.dumps(told).encode()
    start_response("200 OK", plain(len(answer)))
    return [answer]


def _file() -> str:
    """A file with the answer of `file`, made once for all servers."""
    path = os.path.join(tempfile.gettempdir(), f"oxicorn-bench-{os.getuid()}-{FILE_BYTES}")
    if not os.path.exists(path) or os.path.getsize(path) != FILE_BYTES:
        own = f"{path}-{os.getpid()}"
        with open(own, "wb") as out:
            out.write(BODIES["file"])
        os.replace(own, path)
    return path


FILE_PATH = _file()
# Applications without a framework start without one, and have their memory to themselves.
FRAMEWORKS = os.environ.get("BENCH_FRAMEWORKS", "flask django").split()

if "flask" in FRAMEWORKS and find_spec("flask"):
    from flask import Flask, jsonify

    flask_hello = flask_record = Flask(__name__)

    @flask_hello.get("/")
    def index():
        return HELLO, {"Content-Type": "text/plain"}

    @flask_hello.get("/record")
    def show_record():
        return jsonify(RECORD)


if "django" in FRAMEWORKS and find_spec("django"):
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path as url

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for measuring",
    )
    urlpatterns = [url("", lambda request: HttpResponse(HELLO, content_type="text/plain"))]
    django.setup()
    django_hello = get_wsgi_application()
