"""How many connections wait to be accepted: a figure that the kernel has."""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["waiting"]

# From linux/tcp.h: of a listening socket, `tcpi_unacked` is the length of its queue.
_TCP_INFO_SIZE, _UNACKED = 104, 24

# From linux/netlink.h, sock_diag.h and unix_diag.h.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_SHOW_QUEUES, _ATTRIBUTE_QUEUES = 16, 4
_ANY_STATE, _ANY_COOKIE = 0xFFFFFFFF, 0xFFFFFFFF


def waiting(descriptor: int) -> int | None:
    """Connections in the queue of a listening socket; None where the kernel does not say."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            if listener.family == socket.AF_UNIX:
                return _of_unix_socket(os.fstat(descriptor).st_ino)
            info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        return int(struct.unpack_from("=I", info, _UNACKED)[0])
    except (OSError, struct.error):
        return None


def _of_unix_socket(inode: int) -> int | None:
    """Asks the kernel as `ss` does, for this one socket."""
    request = struct.pack(
        "=IHHIIBBHIIIII",
        40, _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0,
        socket.AF_UNIX, 0, 0, _ANY_STATE, inode, _SHOW_QUEUES, _ANY_COOKIE, _ANY_COOKIE,
    )  # fmt: skip
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(request)
        answer = kernel.recv(8192)
    length, what = struct.unpack_from("=IH", answer)
    if what == _ERROR:
        return None
    place = 32  # behind the head of the message, and what is the same for each socket
    while place + 4 <= min(length, len(answer)):
        size, attribute = struct.unpack_from("=HH", answer, place)
        if attribute == _ATTRIBUTE_QUEUES:
            return int(struct.unpack_from("=I", answer, place + 4)[0])
        place += max(4, (size + 3) & ~3)
    return None
