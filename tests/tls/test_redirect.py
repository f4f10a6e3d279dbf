"""The application for port 80: everything moves to https."""

from __future__ import annotations

import pytest

ASKS = 'oxicorn.redirect:to_https("shop.example", "*.shop.example", "[::1]"'


@pytest.fixture(scope="module")
def webroot(tmp_path_factory):
    """As `certbot certonly --webroot` fills it."""
    folder = tmp_path_factory.mktemp("webroot")
    challenges = folder / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "a-Token_1").write_bytes(b"a-Token_1.thumbprint")
    (folder / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture(scope="module")
def server(serve_module, webroot):
    return serve_module(f'{ASKS}, webroot="{webroot}")')


def ask(peer, target, host="shop.example", method="GET"):
    fields = f"Host: {host}\r\n" if host is not None else ""
    peer.send(f"{method} {target} HTTP/1.0\r\n{fields}\r\n".encode())
    return peer.response(to=method)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("host", ["shop.example", "SHOP.example.:80", "a.shop.example", "[::1]:80"])
def test_a_known_host_is_kept_and_so_is_what_was_asked_for(server, dial, host, method):
    target = "/a%20b//c;d?e=f&g=%C3%A9?"
    response = ask(dial(server), target, host, method)
    assert response.status == 308
    kept = host.removesuffix(":80").lower().removesuffix(".")
    assert response.all("location") == [f"https://{kept}{target}"]
    assert response.body == b""


@pytest.mark.parametrize(
    "host", ["evil.example", "evilshop.example", "a.b.shop.example", "*.shop.example", "", None]
)
def test_nobody_is_sent_to_where_somebody_else_chose(server, dial, host):
    response = ask(dial(server), "/", host)
    assert (response.status, response.all("location")) == (400, [])


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//evil.example/x", "https://shop.example//evil.example/x"),
        ("/@evil.example", "https://shop.example/@evil.example"),
        ("http://shop.example/a%20b?c=d", "https://shop.example/a%20b?c=d"),
    ],
)
def test_a_target_cannot_lead_away(server, dial, target, location):
    response = ask(dial(server), target)
    assert (response.status, response.all("location")) == (308, [location])


def test_challenges_are_answered_for_any_host(server, dial):
    for host in ("shop.example", "other.example"):
        response = ask(dial(server), "/.well-known/acme-challenge/a-Token_1", host)
        assert (response.status, response.body) == (200, b"a-Token_1.thumbprint")
    missing = ask(dial(server), "/.well-known/acme-challenge/other")
    assert missing.status == 404
    posted = ask(dial(server), "/.well-known/acme-challenge/a-Token_1", method="POST")
    assert posted.status == 405


@pytest.mark.parametrize("token", ["../../secret", "..%2f..%2fsecret", "", ".", "a-Token_1%0a"])
def test_nothing_else_of_the_folder_is_served(server, dial, token):
    response = ask(dial(server), f"/.well-known/acme-challenge/{token}")
    assert response.status in {308, 400}
    assert b"secret" not in response.body


def test_another_port_and_no_challenges(serve, dial):
    server = serve(f"{ASKS}, port=8443)")
    assert ask(dial(server), "/x").all("location") == ["https://shop.example:8443/x"]
    answered = ask(dial(server), "/.well-known/acme-challenge/a-Token_1")
    assert answered.status == 308


@pytest.mark.parametrize("hosts", ["", '"shop.example/x"', '"a.*.example"', '"shop example"'])
def test_what_is_no_host_stops_the_start(oxicorn, hosts):
    done = oxicorn("--check-config", f"oxicorn.redirect:to_https({hosts})")
    assert done.returncode != 0
    assert "to_https" in done.stderr
