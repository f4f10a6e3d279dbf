"""Sessions are resumed in any worker; what is dangerous about them is not there."""

from __future__ import annotations

import signal
import subprocess

import pytest

from support import eventually


@pytest.fixture(params=[771, 772], ids=["1.2", "1.3"])
def client(request, authority):
    return authority.context(minimum_version=request.param, maximum_version=request.param)


def test_a_session_is_resumed_in_every_worker(secure, dial_tls, client):
    server = secure("whoami", workers=3)
    peer = dial_tls(server, client)
    seen = {peer.get().body}
    session = peer.socket.session
    assert session.has_ticket

    def everywhere():
        # Those who are busy leave the next one to another worker.
        peers = [begun(dial_tls(server, client, session=session)) for _ in range(6)]
        for peer in peers:
            assert peer.socket.session_reused
            seen.add(peer.response().body)
            peer.socket.close()
        return len(seen) == 3

    eventually(everywhere, within=60)


def begun(peer):
    peer.send(b"GET /300 HTTP/1.1\r\nHost: a\r\n\r\n")
    return peer


def test_a_session_is_resumed_after_a_reload_of_files(serve, authority, dial_tls, client, tmp_path):
    chain, key = authority.issue("shop.example")
    copy = tmp_path / "chain.pem"
    copy.write_bytes(chain.read_bytes())
    server = serve("hello", "--certfile", str(copy), "--keyfile", str(key))
    peer = dial_tls(server, client)
    peer.get()
    copy.write_bytes(b"\n" + chain.read_bytes())
    eventually(lambda: "the certificates have changed" in server.log(), within=60)
    again = dial_tls(server, client, session=peer.socket.session)
    assert again.get().status == 200
    assert again.socket.session_reused


def test_another_start_has_other_keys(secure, dial_tls, client):
    peer = dial_tls(secure("hello"), client)
    peer.get()
    again = dial_tls(secure("hello"), client, session=peer.socket.session)
    assert again.get().status == 200
    assert not again.socket.session_reused


def test_a_reload_has_other_keys_and_nobody_notices(secure, dial_tls, client):
    server = secure("whoami")
    peer = dial_tls(server, client)
    before = peer.get().body
    session = peer.socket.session
    server.signal(signal.SIGHUP)

    def is_shaken_in_full():
        again = dial_tls(server, client, session=session)
        return again.get().body != before and not again.socket.session_reused

    eventually(is_shaken_in_full, within=60)


def test_a_ticket_that_is_not_ours_is_ignored(mirror, authority, tmp_path):
    """`openssl s_client` sends a session that was changed on disk."""
    session = tmp_path / "session.pem"
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{mirror.port}", "-tls1_2"]
    command += ["-CAfile", str(authority.file), "-servername", "shop.example"]
    run = {"input": b"Q\n", "capture_output": True, "timeout": 60}
    subprocess.run([*command, "-sess_out", session], check=True, **run)
    done = subprocess.run([*command, "-sess_in", session], check=True, **run)
    assert b"Reused, TLSv1.2" in done.stdout
    server_log = mirror.log()
    assert "panicked" not in server_log


def test_there_is_no_early_data(mirror, authority, tmp_path):
    session, early = tmp_path / "session.pem", tmp_path / "early"
    early.write_bytes(b"GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{mirror.port}", "-tls1_3"]
    command += ["-CAfile", str(authority.file), "-servername", "shop.example", "-ign_eof"]
    first = subprocess.run(
        [*command, "-sess_out", session],
        input=b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"Max Early Data: 0" in first.stdout
    done = subprocess.run(
        [*command, "-sess_in", session, "-early_data", early],
        input=b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=60,
    )
    assert b"Early data was accepted" not in done.stdout
    assert b'"path": "/early"' not in done.stdout


def test_there_is_no_renegotiation(mirror, authority):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{mirror.port}", "-tls1_2"]
    command += ["-CAfile", str(authority.file), "-servername", "shop.example"]
    done = subprocess.run(command, input=b"R\n", capture_output=True, timeout=60)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert done.stdout.count(b"Cipher is ") == 1


def test_older_versions_are_not_spoken(mirror, authority):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{mirror.port}"]
    command += ["-cipher", "ALL:@SECLEVEL=0"]
    for version in ("-tls1", "-tls1_1"):
        done = subprocess.run(
            [*command, version],
            input=b"",
            capture_output=True,
            timeout=60,
        )
        assert done.returncode != 0
        assert b"Cipher is (NONE)" in done.stdout


def test_what_is_spoken_inside_is_agreed_on(mirror, authority, dial_tls):
    for offered in (["h3", "http/1.1"], ["http/1.0"], []):
        context = authority.context()
        if offered:
            context.set_alpn_protocols(offered)
        chosen = offered[-1] if offered else None
        peer = dial_tls(mirror, context)
        assert peer.socket.selected_alpn_protocol() == chosen
        assert peer.get().status == 200
    context.set_alpn_protocols(["smtp"])
    with pytest.raises(OSError, match=r"(?i)alert|reset"):
        dial_tls(mirror, context)


def test_many_reloads_lose_nobody(secure, dial_tls, client):
    server = secure("hello", workers=2)
    for _ in range(3):
        server.signal(signal.SIGHUP)
        for _ in range(10):
            assert dial_tls(server, client).get().status == 200
