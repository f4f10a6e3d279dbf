"""What a server makes of requests that any application may get: speed counts when that is right.

Each probe is one question, put to the application `probe` over a raw connection. A server that
fails one is measured all the same, and the report says so.
"""

import json
import re
import time
from collections.abc import Callable

from .process import Failed, Running


def ask(here: Running, request: str, answers: int = 1) -> list[tuple[str, bytes]]:
    """The heads and bodies that come back; fewer when the server closes or says nothing more."""
    with here.connect(5) as client:
        client.sendall(request.replace("\n", "\r\n").encode("latin-1"))
        received, found = b"", []
        while len(found) < answers:
            try:
                piece = client.recv(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                piece = b""
            received += piece
            while parsed := first_answer(received, is_over=not piece):
                head, body, received = parsed
                found.append((head, body))
            if not piece:
                break
    return found


def first_answer(received: bytes, is_over: bool) -> tuple[str, bytes, bytes] | None:
    """The first whole answer of what was received, and the rest."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    text = head.decode("latin-1")
    length = re.search(r"^content-length: *(\d+)", text, re.MULTILINE | re.IGNORECASE)
    if length:
        size = int(length[1])
        return (text, rest[:size], rest[size:]) if len(rest) >= size or is_over else None
    if re.search(r"^transfer-encoding: *chunked", text, re.MULTILINE | re.IGNORECASE):
        body, last = rest.partition(b"0\r\n\r\n")[::2]
        pieces = re.split(rb"(?:^|\r\n)[0-9a-fA-F]+\r\n", body)
        return (text, b"".join(pieces), last) if is_over or b"0\r\n\r\n" in rest else None
    return (text, rest, b"") if is_over else None


def told(here: Running, request: str) -> dict[str, str | None]:
    """What the application saw of one request."""
    answers = ask(here, request)
    return json.loads(answers[0][1]) if answers and answers[0][1] else {}


def decodes_path(here: Running) -> bool:
    seen = told(here, "GET /a%20b/%C3%A9?x=%20 HTTP/1.1\nHost: a\nConnection: close\n\n")
    return (seen.get("path"), seen.get("query")) == ("/a b/\u00c3\u00a9", "x=%20")


def takes_chunks(here: Running) -> bool:
    framing = "Host: a\nConnection: close\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"
    return told(here, f"POST / HTTP/1.1\n{framing}").get("body") == "hello"


def joins_fields(here: Running) -> bool:
    fields = "X-List: 1\nX-List: 2\nConnection: close\n"
    joined = told(here, f"GET / HTTP/1.1\nHost: a\n{fields}\n").get("list")
    return joined in ("1,2", "1, 2")


def answers_each(here: Running) -> bool:
    one = "GET /{} HTTP/1.1\nHost: a\n\n"
    answers = ask(here, one.format("first") + one.format("second"), answers=2)
    return [json.loads(body)["path"] for _, body in answers] == ["/first", "/second"]


def keeps_head_empty(here: Running) -> bool:
    with here.connect(5) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received.endswith(b"\r\n\r\n")


def refuses_two_framings(here: Running) -> bool:
    """Both framings in one request: what follows must never be answered as a request."""
    body = "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n"
    smuggled = "GET /smuggled HTTP/1.1\nHost: a\n\n"
    answers = ask(here, f"POST / HTTP/1.1\nHost: a\n{body}{smuggled}", answers=2)
    return not any(b"/smuggled" in body for _, body in answers)


def dates_answers(here: Running) -> bool:
    answers = ask(here, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
    return bool(answers) and "\ndate:" in answers[0][0].lower()


def tells_address(here: Running) -> bool:
    seen = told(here, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
    return seen.get("address") == "127.0.0.1"


def sends_pieces(here: Running) -> bool:
    """PEP 3333: a piece is on its way before the next one is asked for."""
    with here.connect(5) as client:
        client.sendall(b"GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received, first_at = b"", None
        while piece := client.recv(65536):
            received += piece
            if first_at is None and b"first " in received:
                first_at = time.monotonic()
    made = re.search(rb"\d+\.\d{6}", received)
    return first_at is not None and made is not None and first_at < float(made[0])


def closes_iterables(here: Running) -> bool:
    """PEP 3333: `close()` is called at the end; Django tells by it that a request is over."""
    plain = "GET {} HTTP/1.1\nHost: a\nConnection: close\n\n"
    before = told(here, plain.format("/"))["closed"]
    ask(here, plain.format("/pieces"))
    return told(here, plain.format("/"))["closed"] == before + 1


PROBES: dict[str, Callable[[Running], bool]] = {
    "the path is decoded once": decodes_path,
    "a chunked body arrives": takes_chunks,
    "repeated fields are joined": joins_fields,
    "pipelined requests are answered": answers_each,
    "HEAD has no body": keeps_head_empty,
    "two framings are no request more": refuses_two_framings,
    "answers have a date": dates_answers,
    "REMOTE_ADDR is an address": tells_address,
    "a piece is sent before the next is made": sends_pieces,
    "close() is called": closes_iterables,
}


def faults(here: Running) -> list[str]:
    """The probes that a server fails."""
    found = []
    for name, probe in PROBES.items():
        try:
            is_right = probe(here)
        except (OSError, ValueError, KeyError, Failed):
            is_right = False
        if not is_right:
            found.append(name)
    return found
