"""Cases of conformance to RFC 9113: frames on a fresh connection, and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.http2 import (
    COMPRESSION_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    Fields,
    Http2Peer,
    fields,
)

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 0x20, 1
# A more general code is permitted where one is enough (section 5.4).
SIZE = (FRAME_SIZE_ERROR, PROTOCOL_ERROR)
COMPRESSION = (COMPRESSION_ERROR, PROTOCOL_ERROR)
# GET / in octets that leave the table of fields as it is.
PLAIN = b"\x82\x86\x84\x01\x01a"
# A stream that no case uses.
UNUSED = 101


@dataclass
class Case:
    """What a client does on stream 1, or on the connection."""

    section: str
    rule: str
    act: Callable[[Http2Peer], object]
    connection: tuple[int, ...] = ()
    """Codes with which the connection may end."""
    stream: tuple[int, ...] = ()
    """Codes with which stream 1 may be reset instead; without any of both all goes on."""

    def __str__(self) -> str:
        return f"{self.section} {self.rule}"

    def holds(self, peer: Http2Peer) -> None:
        """Does it, all at once, and looks."""
        peer.round_trip()
        with peer.at_once():
            self.act(peer)
        stream = peer.stream(1)
        if not self.connection and not self.stream:
            after = peer.headers(fields("/after"), stream=UNUSED)
            peer.until(lambda: peer.stream(after).is_over)
            assert peer.stream(after).status == 200
            assert (peer.goaway, stream.reset) == (None, None)
            return
        while peer.goaway is None and stream.reset is None and not stream.is_over and peer.step():
            pass
        if peer.goaway is not None and self.connection:
            assert peer.goaway in self.connection
        else:
            assert stream.reset in self.stream, f"neither ended nor reset: {peer.streams}"
            again = peer.headers(fields("/again"), stream=UNUSED)
            assert peer.response(again).status == 200, "only the stream ends"


class Cases(list[Case]):
    """The cases of a file."""

    def add(
        self,
        section: str,
        rule: str,
        *,
        connection: tuple[int, ...] = (),
        stream: tuple[int, ...] = (),
    ) -> Callable[[Callable[[Http2Peer], object]], None]:
        """Takes what the client does as the argument of what it gives."""
        return lambda act: self.append(Case(section, rule, act, connection, stream))

    def malformed(self, section: str, rule: str, pairs: Fields) -> None:
        """A request with these fields is none."""
        pairs = list(pairs)
        self.append(
            Case(section, rule, lambda p: p.headers(pairs), (PROTOCOL_ERROR,), (PROTOCOL_ERROR,))
        )


def block(peer: Http2Peer, *more: tuple[str, str]) -> bytes:
    """The fields of a GET, compressed."""
    return peer.encoder.encode(fields(more=more))


def setting(number: int, value: int) -> bytes:
    """One of SETTINGS."""
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")
