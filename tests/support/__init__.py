"""What the black-box tests share: a server as a process, a raw peer, the corpus, bounded waits."""

from support.corpus import Case, case, cases
from support.peer import Peer, ProtocolError, Response
from support.server import Server, free_port
from support.wait import eventually

__all__ = [
    "Case",
    "Peer",
    "ProtocolError",
    "Response",
    "Server",
    "case",
    "cases",
    "eventually",
    "free_port",
]
