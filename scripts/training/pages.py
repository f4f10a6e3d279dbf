"""The application that is trained with: what ordinary sites answer, by path."""

import io
import json
import os
import time

PIECE = bytes(range(256)) * 64
RECORD = {f"name{number}": {"value": number, "tags": ["a", "b"]} for number in range(20)}
PLAIN = ("Content-Type", "text/plain; charset=utf-8")


class Closing:
    """An iterable as frameworks return it, which wants to know when it is done with."""

    def __init__(self, items):
        self._items = iter(items)

    def __iter__(self):
        return self._items

    def close(self):
        self._items = iter(())


def page(environ, start_response):
    body = b"Hello!\n"
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def record(environ, start_response):
    body = json.dumps(RECORD).encode()
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", fields)
    return Closing([body])


def dressed(environ, start_response):
    fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", "2000"),
        ("Cache-Control", "private, max-age=0, must-revalidate"),
        ("ETag", '"5d8c72a5edda8d6a"'),
        ("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT"),
        ("Set-Cookie", "theme=dark; Path=/; HttpOnly; SameSite=Lax"),
        ("Set-Cookie", "visit=7; Path=/"),
        ("Vary", "Accept-Encoding, Cookie"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]
    start_response("200 OK", fields)
    return Closing([b"x" * 2000])


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def lines(environ, start_response):
    count = sum(len(line) for line in environ["wsgi.input"])
    start_response("201 Created", [PLAIN])
    return [b"%d" % count]


def moved(environ, start_response):
    start_response("302 Found", [("Location", "/page"), ("Content-Length", "0")])
    return []


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"5d8c72a5edda8d6a"')])
    return []


def pieces(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for _ in range(16):
        yield PIECE


def template(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return (b"<li>item %d</li>" % number for number in range(20))


def written(environ, start_response):
    write = start_response("200 OK", [PLAIN])
    write(b"written ")
    return [b"and returned"]


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    source = open(os.environ["TRAINING_FILE"], "rb")  # noqa: SIM115 (the server closes it)
    return environ["wsgi.file_wrapper"](source, 64 * 1024)


def buffer(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](io.BytesIO(PIECE * 4), 16 * 1024)


def slow(environ, start_response):
    time.sleep(0.003)
    return page(environ, start_response)


def wrong(environ, start_response):
    raise ValueError("as some applications do")


ANSWERS = [page, record, dressed, echo, lines, moved, unchanged, pieces, template, written]
ANSWERS += [file, buffer, slow, wrong]
PAGES = {f"/{answer.__name__}": answer for answer in ANSWERS}


def missing(environ, start_response):
    start_response("404 Not Found", [PLAIN, ("Content-Length", "9")])
    return [b"not found"]


def app(environ, start_response):
    return PAGES.get(environ["PATH_INFO"], missing)(environ, start_response)
