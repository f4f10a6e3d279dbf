"""No client comes first for ever."""

from __future__ import annotations

from support.wait import eventually


def test_clients_that_keep_coming_do_not_hold_up_those_that_are_there(serve, dial):
    server = serve("chained")

    def order():
        with dial(server) as peer:
            return peer.get("/order").body.decode().split()

    with dial(server) as peer:
        assert peer.get("/keep").body == b"done"
        eventually(lambda: "/first" in order())
        peer.send(b"GET /chain/15 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert peer.response().body == b"done"
    eventually(lambda: "/chain/0" in order() and "/second" in order())
    seen = order()
    # Sent while the first of sixteen was answered, each of which brought the next.
    assert seen.index("/second") - seen.index("/chain/15") < 8, seen
