"""Ways to answer, right and wrong, one for each path."""

import gzip
import io
import os
import sys
import tempfile

TYPE = ("Content-Type", "text/plain")
kept = []


class Closing:
    """An iterable that says in the log when it is closed."""

    def __init__(self, items, path, error=None):
        self.items, self.path, self.error = iter(items), path, error

    def __iter__(self):
        return self.items

    def close(self):
        print(f"closed {self.path}", file=sys.stderr, flush=True)
        if self.error:
            raise self.error


class Text(str):
    """Not quite a str."""


def raising(error, before=()):
    """Yields, then raises."""
    yield from before
    raise error


def failed():
    """An exc_info triple."""
    try:
        raise KeyError("first")
    except KeyError:
        return sys.exc_info()


def path_list(environ, start):
    start("200 OK", [TYPE])
    return [b"one"]


def path_tuple(environ, start):
    start("200 OK", [TYPE])
    return (b"one",)


def path_pair(environ, start):
    start("200 OK", [TYPE])
    return [b"one", b"two"]


def path_empty(environ, start):
    start("200 OK", [TYPE])
    return []


def path_big(environ, start):
    start("200 OK", [TYPE])
    return [b"x" * 3_000_000]


def path_bigs(environ, start):
    start("200 OK", [TYPE])
    return (b"x" * 1_000_000 for _ in range(5))


def path_generator(environ, start):
    # PEP 3333 lets an application begin as late as in its first item.
    start("200 OK", [TYPE])
    yield b""
    yield b"one"
    yield b""
    yield b"two"


def path_empties(environ, start):
    start("200 OK", [TYPE])
    return Closing([b"", b""], "/empties")


def path_write(environ, start):
    write = start("200 OK", [TYPE])
    write(b"one,")
    write(b"")
    write(b"two,")
    return [b"three"]


def path_write_only(environ, start):
    start("200 OK", [TYPE, ("Content-Length", "3")])(b"one")
    return []


def path_write_early(environ, start):
    start(b"one")


def path_write_text(environ, start):
    start("200 OK", [TYPE])("text")


def path_fields(environ, start):
    start(
        Text("200 Fine, thanks"),
        (
            (Text("Set-Cookie"), Text("a=1")),
            ("x-MiXed", "kept"),
            ("Set-Cookie", "b=\xe9"),
            ["X-Pair", "in a list"],
        ),
    )
    return [b""]


def path_keywords(environ, start):
    start(status="200 OK", headers=[TYPE], exc_info=None)
    return [b"one"]


def path_own_date(environ, start):
    start("200 OK", [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")])
    return [b"one"]


def path_close(environ, start):
    start("200 OK", [("Connection", "close")])
    return [b"one"]


def path_hop_by_hop(environ, start):
    start("200 OK", [("Transfer-Encoding", "chunked"), ("Keep-Alive", "timeout=5"), TYPE])
    return [b"one"]


def path_204(environ, start):
    start("204 No Content", [("Content-Length", "3")])
    return Closing([b"one"], "/204")


def path_304(environ, start):
    start("304 Not Modified", [("ETag", '"a"')])
    return Closing([b"one"], "/304")


def path_endless(environ, start):
    start("200 OK", [TYPE])
    return Closing(iter(lambda: b"tick", None), "/endless")


def path_short(environ, start):
    start("200 OK", [("Content-Length", "10")])
    return Closing([b"one"], "/short")


def path_long(environ, start):
    start("200 OK", [("Content-Length", "4")])
    return Closing([b"one", b"two", b"three"], "/long")


def path_long_list(environ, start):
    start("200 OK", [("Content-Length", "2")])
    return [b"one"]


def path_twice(environ, start):
    start("200 OK", [TYPE])
    start("200 OK", [TYPE])


def path_replaced(environ, start):
    start("200 OK", [TYPE, ("X-First", "1")])
    start("503 Busy", [("X-Second", "2")], failed())
    return [b"replaced"]


def path_too_late(environ, start):
    start("200 OK", [TYPE])
    yield b"one"
    start("500 Oops", [TYPE], exc_info=failed())
    yield b"two"


def path_caught(environ, start):
    try:
        start("200", [])
    except ValueError:
        start("200 OK", [TYPE])
    return [b"recovered"]


def path_raise(environ, start):
    raise ValueError("out of the application")


def path_raise_begun(environ, start):
    start("200 OK", [TYPE])
    raise ValueError("out of the application")


def path_raise_first(environ, start):
    start("200 OK", [TYPE])
    return Closing(raising(ValueError("first item")), "/raise_first")


def path_raise_later(environ, start):
    start("200 OK", [TYPE])
    return Closing(raising(ValueError("later item"), [b"one"]), "/raise_later")


def path_raise_later_sized(environ, start):
    start("200 OK", [("Content-Length", "6")])
    return raising(ValueError("later item"), [b"one"])


def path_exit(environ, start):
    sys.exit(3)


def path_exit_0(environ, start):
    raise SystemExit(0)


def path_interrupt(environ, start):
    raise KeyboardInterrupt


def path_generator_exit(environ, start):
    raise GeneratorExit


def path_unprintable(environ, start):
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise Unprintable


def path_silent(environ, start):
    return [b"one"]


def path_none(environ, start):
    start("200 OK", [TYPE])


def path_text(environ, start):
    start("200 OK", [TYPE])
    return "text"


def path_text_item(environ, start):
    start("200 OK", [TYPE])
    return Closing(["text"], "/text_item")


def path_number_item(environ, start):
    start("200 OK", [TYPE])
    return [1]


def path_bad_close(environ, start):
    start("200 OK", [TYPE])
    return Closing([b"one"], "/bad_close", RuntimeError("in close"))


def path_hints(environ, start):
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
    start("200 OK", [TYPE])
    return [b"one"]


def path_bad_hints(environ, start):
    environ["wsgi.early_hints"]([("Link", "a\r\nb")])


def path_errors(environ, start):
    errors = environ["wsgi.errors"]
    errors.write("wrote \xe9 \u20ac \udc80\n")
    errors.writelines(["line 1\n", "line 2\n"])
    print("printed", file=errors)
    errors.flush()
    start("200 OK", [TYPE])
    return [b"one"]


def path_keep(environ, start):
    kept.append((environ, start))
    start("200 OK", [TYPE])
    return [b"kept"]


def refusal(call, *arguments):
    """What calling it raises."""
    try:
        call(*arguments)
    except Exception as error:
        return repr(error)
    return "nothing"


def path_use_kept(environ, start):
    said = []
    for old, old_start in kept:
        said.append(refusal(old_start, "200 OK", []))
        said.append(refusal(old_start, b"data"))
        said.append(refusal(old["wsgi.early_hints"], []))
    start("200 OK", [TYPE])
    return ["\n".join(said).encode()]


def temporary(size, skip=0):
    """An unlinked file of this size, read up to `skip`."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(bytes(i % 251 for i in range(size)))
    file.seek(skip)
    return file


def path_file(environ, start):
    start("200 OK", [TYPE])
    return environ["wsgi.file_wrapper"](temporary(300_000, 7))


def path_file_sized(environ, start):
    start("200 OK", [("Content-Length", "5")])
    return environ["wsgi.file_wrapper"](temporary(300_000, 7), 4096)


def path_file_short(environ, start):
    start("200 OK", [("Content-Length", "100")])
    return environ["wsgi.file_wrapper"](temporary(50))


def path_file_memory(environ, start):
    start("200 OK", [TYPE])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"y" * 20_000))


def path_file_pipe(environ, start):
    reader, writer = os.pipe()
    # gevent's `os.close` leaves it to the hub, which does not run while the end is awaited.
    with os.fdopen(writer, "wb") as into:
        into.write(b"through a pipe")
    start("200 OK", [TYPE])
    return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))


def path_file_gzip(environ, start):
    with tempfile.NamedTemporaryFile() as file:
        file.write(gzip.compress(b"plain text"))
        file.flush()
        unpacked = io.BufferedReader(gzip.open(file.name))  # noqa: SIM115 - closed by the server
    start("200 OK", [TYPE])
    return environ["wsgi.file_wrapper"](unpacked)


def path_file_closing(environ, start):
    file = io.BytesIO(b"one")
    start("200 OK", [TYPE])

    class Reader:
        read = file.read

        def close(self):
            print("closed /file_closing", file=sys.stderr, flush=True)

    return environ["wsgi.file_wrapper"](Reader())


def bad(status="200 OK", headers=()):
    """An application that begins with this, and must not be allowed to."""

    def answer(environ, start):
        start(status, headers if isinstance(headers, dict) else list(headers))
        return [b"one"]

    return answer


BAD = {
    "informational": bad("100 Continue"),
    "switching": bad("101 Switching Protocols"),
    "no_reason": bad("200"),
    "low": bad("099 Low"),
    "high": bad("600 High"),
    "letters": bad("abc Letters"),
    "status_bytes": bad(b"200 OK"),
    "status_number": bad(200),
    "status_control": bad("200 OK\r\nX: y"),
    "status_wide": bad("200 \u20ac"),
    "name_space": bad(headers=[("A B", "c")]),
    "name_empty": bad(headers=[("", "c")]),
    "name_colon": bad(headers=[("A:", "c")]),
    "name_newline": bad(headers=[("A\n", "c")]),
    "name_bytes": bad(headers=[(b"A", "c")]),
    "value_newline": bad(headers=[("A", "secret\nX: y")]),
    "value_return": bad(headers=[("A", "secret\rX: y")]),
    "value_nul": bad(headers=[("A", "secret\0")]),
    "value_number": bad(headers=[("A", 1)]),
    "value_wide": bad(headers=[("A", "secret\u20ac")]),
    "triple": bad(headers=[("A", "b", "c")]),
    "header_text": bad(headers=["A: b"]),
    "headers_dict": bad(headers={"A": "b"}),
    "length_twice": bad(headers=[("Content-Length", "3"), ("Content-Length", "3")]),
    "length_sign": bad(headers=[("Content-Length", "+3")]),
    "length_text": bad(headers=[("Content-Length", "three")]),
}


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name.startswith("bad/"):
        return BAD[name.removeprefix("bad/")](environ, start_response)
    return globals()[f"path_{name}"](environ, start_response)
