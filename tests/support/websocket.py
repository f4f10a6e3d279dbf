"""The opening of a WebSocket, byte by byte, for clients that do what no library does."""

from __future__ import annotations

from support.peer import Peer

FIELDS = (
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def opening(target: str, *fields: str) -> bytes:
    """A request for a WebSocket."""
    lines = [f"GET {target} HTTP/1.1", "Host: test", *(fields or FIELDS), "", ""]
    return "\r\n".join(lines).encode()


def frame(opcode: int, data: bytes, final: bool = True) -> bytes:
    """A frame of a client, masked, of less than 126 bytes."""
    assert len(data) < 126
    mask = b"\x11\x22\x33\x44"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes([(0x80 if final else 0) | opcode, 0x80 | len(data)]) + mask + masked


def open_peer(peer: Peer, target: str) -> Peer:
    """Has a connection taken over by the application."""
    peer.send(opening(target))
    assert peer.head().status == 101
    return peer
