"""The client's end of one connection, byte by byte, with a strict reader of responses.

Anything that RFC 9112 does not allow a server to send raises `ProtocolError`: the reader is a
judge, not a client.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import struct
from dataclasses import dataclass, field

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) (\d{3}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})")


class ProtocolError(AssertionError):
    """The server sent what no server may send."""


@dataclass
class Response:
    """One response as it came over the wire."""

    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[int] = field(default_factory=list)
    """Sizes of the chunks, if the body came in chunks, without the last one of size 0."""

    def all(self, name: str) -> list[str]:
        """The values of every field line of this name, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that may come once at most."""
        values = self.all(name)
        if len(values) > 1:
            raise ProtocolError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body came in chunks."""
        return self.get("Transfer-Encoding") is not None

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection ends after it."""
        return "close" in (self.get("Connection") or "").lower()


class Peer:
    """One client connection; use it as a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # Out.

    def send(self, data: bytes) -> None:
        """Sends all bytes; a server that has closed already is no error here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_in_pieces(self, data: bytes, size: int = 1) -> None:
        """Sends the bytes so that each piece is a segment of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            self.send(data[start : start + size])

    def get(self, target: str = "/", *fields: str) -> Response:
        """One GET request and its response."""
        lines = [f"GET {target} HTTP/1.1", "Host: test", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1"))
        return self.response()

    def half_close(self) -> None:
        """Says that nothing more will be sent; a server that has cut it off is no error here."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # In.

    def response(self, to: str = "GET", interim_allowed: bool = False) -> Response:
        """The next response, which must be a final one; `to` is the method of its request.

        With `interim_allowed` one `100 Continue` may come before it.
        """
        response = self.head()
        if interim_allowed and response.status == 100:
            response = self.head()
        if response.status < 200:
            raise ProtocolError(f"interim response {response.status} where a final one is due")
        self.read_body(response, to)
        return response

    def head(self) -> Response:
        """The next response head, interim or final; its body is still to be read."""
        status = _STATUS_LINE.fullmatch(line := self._line())
        if not status:
            raise ProtocolError(f"status line {line!r}")
        version, code, reason = (part.decode("latin-1") for part in status.groups())
        fields = self._fields()
        return Response(version, int(code), reason, fields)

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty for the last one, which ends the response."""
        line = self._line()
        if not _CHUNK_SIZE.fullmatch(line):
            raise ProtocolError(f"chunk size {line!r}")
        chunk = self.read(int(line, 16))
        if not chunk:
            if trailers := self._fields():
                raise ProtocolError(f"trailers {trailers}")
        elif self.read(2) != b"\r\n":
            raise ProtocolError("no CRLF after a chunk")
        return chunk

    def read(self, count: int) -> bytes:
        """Exactly this many bytes."""
        while len(self._buffer) < count:
            if not self._receive():
                raise ProtocolError(f"closed {count - len(self._buffer)} bytes before the end")
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset is an end."""
        while self._receive():
            pass
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def closed_by_server(self) -> bool:
        """Waits for the end of the connection; whether nothing came before it."""
        return self.rest() == b""

    def is_idle(self, seconds: float = 0.2) -> bool:
        """Whether the connection is open and nothing comes for a moment."""
        if self._buffer:
            return False
        timeout = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self._receive() and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(timeout)

    def read_body(self, response: Response, method: str) -> None:
        """The body that belongs to a head, in answer to a request of this method."""
        coding, length = response.get("Transfer-Encoding"), response.get("Content-Length")
        if coding is not None and length is not None:
            raise ProtocolError("both Transfer-Encoding and Content-Length")
        if coding is not None and response.version == "HTTP/1.0":
            raise ProtocolError("Transfer-Encoding in an HTTP/1.0 response")
        if length is not None and not re.fullmatch(r"\d+", length):
            raise ProtocolError(f"Content-Length {length!r}")
        if response.status == 204 and (coding or length):
            raise ProtocolError("framing fields with status 204")
        if method == "HEAD" or response.status in (204, 304):
            return
        if coding is not None:
            if coding.lower() != "chunked":
                raise ProtocolError(f"Transfer-Encoding {coding!r}")
            self._read_chunks(response)
        elif length is not None:
            response.body = self.read(int(length))
        else:
            response.body = self.rest()

    def _read_chunks(self, response: Response) -> None:
        chunks = list(iter(self.chunk, b""))
        response.chunks = [len(chunk) for chunk in chunks]
        response.body = b"".join(chunks)

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self._line():
            match = _FIELD.fullmatch(line)
            if not match:
                raise ProtocolError(f"field line {line!r}")
            fields.append((match[1].decode("ascii"), match[2].decode("latin-1")))
        return fields

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._receive():
                raise ProtocolError(f"closed inside a line: {bytes(self._buffer)!r}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if b"\n" in line or b"\r" in line:
            raise ProtocolError(f"bare line end in {line!r}")
        return line

    def _receive(self) -> bool:
        """Reads once; False at the end of the connection, however it ended."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)
