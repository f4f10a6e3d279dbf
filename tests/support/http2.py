"""A client of HTTP/2 that can break every rule: frames are written and read one by one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

NO_ERROR = 0
PROTOCOL_ERROR = 1
INTERNAL_ERROR = 2
FLOW_CONTROL_ERROR = 3
SETTINGS_TIMEOUT = 4
STREAM_CLOSED = 5
FRAME_SIZE_ERROR = 6
REFUSED_STREAM = 7
CANCEL = 8
COMPRESSION_ERROR = 9
ENHANCE_YOUR_CALM = 11

Fields = Iterable[tuple[str | bytes, str | bytes]]


def fields(
    path: str = "/", method: str = "GET", authority: str | None = "a.example", more: Fields = ()
) -> list[tuple[str | bytes, str | bytes]]:
    """The fields of a request."""
    pseudo = [(":method", method), (":scheme", "http"), (":path", path)]
    if authority is not None:
        pseudo.append((":authority", authority))
    return [*pseudo, *more]


@dataclass
class Stream:
    """What the server has said on a stream."""

    interim: list[dict[str, str]] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_over: bool = False
    """Whether the server has ended it."""
    reset: int | None = None
    """Why it was reset, if it was."""
    frames: list[str] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.pairs)

    @property
    def status(self) -> int:
        return int(self.fields.get(":status", 0))


class Http2Peer:
    """One connection; what arrives is sorted into `streams`, `goaway` and so on by `step`."""

    def __init__(self, sock: socket.socket, *, begin: bool = True, windows: bool = True) -> None:
        self.socket = sock
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams: dict[int, Stream] = {}
        self.settings: dict[int, int] = {}
        self.acks = 0
        self.pongs: list[bytes] = []
        self.goaway: int | None = None
        self.last_stream: int | None = None
        self.is_closed = False
        self.windows = windows
        """Whether it takes what the server sends, and lets it send more."""
        self.pings = True
        """Whether it answers PING."""
        self._next = 1
        self._data = b""
        self._held: list[bytes] | None = None
        if begin:
            self.send(PREFACE)
            self.send_frame(SettingsFrame(0, settings={SettingsFrame.ENABLE_PUSH: 0}))

    # Out.

    def send(self, data: bytes) -> None:
        """Sends bytes; a server that does not read any more is seen by `step`."""
        if self._held is not None:
            self._held.append(data)
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Sends what is sent in here in one piece, so that nothing can happen in between."""
        self._held = []
        yield
        data, self._held = b"".join(self._held), None
        self.send(data)

    def send_frame(self, *frames: Frame) -> None:
        self.send(b"".join(frame.serialize() for frame in frames))

    def raw_frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        self.send(head + payload)

    def next_stream(self) -> int:
        self._next += 2
        return self._next - 2

    def headers(self, pairs: Fields, *, end: bool = True, stream: int | None = None) -> int:
        """Begins a stream with these fields, whatever they are."""
        stream = self.next_stream() if stream is None else stream
        flags = ["END_HEADERS", *(["END_STREAM"] if end else [])]
        self.send_frame(HeadersFrame(stream, self.encoder.encode(pairs), flags=flags))
        return stream

    def get(self, path: str = "/", *more: tuple[str, str], **other) -> int:
        return self.headers(fields(path, more=more, **other))

    def post(self, path: str, body: bytes, *more: tuple[str, str], pieces: int = 16384) -> int:
        """Sends a body without looking at windows."""
        stream = self.headers(fields(path, "POST", more=more), end=not body)
        for at in range(0, len(body), pieces):
            self.data(stream, body[at : at + pieces], end=at + pieces >= len(body))
        return stream

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.send_frame(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def reset(self, stream: int, code: int = CANCEL) -> None:
        self.send_frame(RstStreamFrame(stream, error_code=code))

    def ping(self, data: bytes = b"12345678") -> None:
        self.send_frame(PingFrame(0, data))

    def window(self, stream: int, more: int) -> None:
        self.send_frame(WindowUpdateFrame(stream, window_increment=more))

    # In.

    def step(self) -> bool:
        """Takes in one frame; `False` when the server has closed."""
        while True:
            if len(self._data) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._data[:9]))
                if len(self._data) >= 9 + length:
                    frame.parse_body(memoryview(self._data[9 : 9 + length]))
                    self._data = self._data[9 + length :]
                    self._take(frame)
                    return True
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                self.is_closed = True
                return False
            self._data += more

    def until(self, condition: Callable[[], object]) -> None:
        """Takes in frames until the condition holds; an end before that is a failure."""
        while not condition():
            assert self.step(), f"closed too early (GOAWAY {self.goaway}): {self.streams}"

    def stream(self, number: int) -> Stream:
        return self.streams.setdefault(number, Stream())

    def response(self, number: int) -> Stream:
        """What the server has said on a stream when it has ended it."""
        stream = self.stream(number)
        self.until(lambda: stream.is_over or stream.reset is not None)
        return stream

    def ended(self) -> int | None:
        """Waits for the end of the connection; gives the code of GOAWAY."""
        while self.step():
            pass
        return self.goaway

    def round_trip(self) -> None:
        """The server has seen all that was sent before."""
        before = len(self.pongs)
        self.ping()
        self.until(lambda: len(self.pongs) > before)

    def _take(self, frame: Frame) -> None:
        kind = type(frame).__name__.removesuffix("Frame")
        if frame.stream_id:
            self.stream(frame.stream_id).frames.append(kind)
        if isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.acks += 1
            else:
                self.settings.update(frame.settings)
                self.send_frame(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs.append(frame.opaque_data)
            elif self.pings:
                self.send_frame(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, GoAwayFrame):
            self.goaway, self.last_stream = frame.error_code, frame.last_stream_id
        elif isinstance(frame, HeadersFrame):
            assert "END_HEADERS" in frame.flags
            raw = self.decoder.decode(frame.data, raw=True)
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
            stream = self.stream(frame.stream_id)
            if dict(pairs)[":status"].startswith("1"):
                stream.interim.append(dict(pairs))
            else:
                stream.pairs = pairs
            stream.is_over |= "END_STREAM" in frame.flags
        elif isinstance(frame, DataFrame):
            stream = self.stream(frame.stream_id)
            stream.body += frame.data
            stream.is_over |= "END_STREAM" in frame.flags
            if self.windows and frame.data:
                self.window(0, len(frame.data))
                if not stream.is_over:
                    self.window(frame.stream_id, len(frame.data))
        elif isinstance(frame, RstStreamFrame):
            self.stream(frame.stream_id).reset = frame.error_code
