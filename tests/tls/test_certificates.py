"""Certificates and keys: which one a client gets, what is new, and what is wrong with files."""

from __future__ import annotations

import datetime
import json
import signal
import ssl
import subprocess

import pytest

from support import eventually
from support.certificates import Authority


def serial(peer):
    return peer.socket.getpeercert()["serialNumber"]


def subject(peer):
    return {value for kind, value in peer.socket.getpeercert()["subjectAltName"] if kind == "DNS"}


def test_the_name_that_is_asked_for_chooses(serve, authority, dial_tls):
    shop, blog = authority.issue("shop.example", "127.0.0.1"), authority.issue("blog.example")
    wild = authority.issue("*.wild.example")
    server = serve(
        "hello",
        *("--certfile", str(shop[0]), "--keyfile", str(shop[1])),
        *("--tls-certificate", f"{blog[0]}:{blog[1]}", "--tls-certificate", f"{wild[0]}:{wild[1]}"),
    )
    assert subject(dial_tls(server, name="shop.example")) == {"shop.example"}
    assert subject(dial_tls(server, name="blog.example")) == {"blog.example"}
    assert subject(dial_tls(server, name="BLOG.example")) == {"blog.example"}
    assert subject(dial_tls(server, name="a.wild.example")) == {"*.wild.example"}
    context = authority.context(check_hostname=False)
    for unknown in ("other.example", "wild.example", "a.b.wild.example", "127.0.0.1", None):
        assert subject(dial_tls(server, context, name=unknown)) == {"shop.example"}


def test_certificates_in_a_settings_file(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    both = tmp_path / "both.pem"
    blog_chain, blog_key = authority.issue("blog.example")
    both.write_bytes(blog_key.read_bytes() + blog_chain.read_bytes())
    both.chmod(0o600)
    config = tmp_path / "settings.py"
    files = {"certfile": str(chain), "keyfile": str(key), "tls_certificates": [str(both)]}
    config.write_text("".join(f"{name} = {value!r}\n" for name, value in files.items()))
    server = serve("hello", "-c", str(config))
    assert subject(dial_tls(server, name="blog.example")) == {"blog.example"}


def test_a_client_gets_a_key_that_it_can_verify(serve, authority, dial_tls):
    rsa, ecdsa = authority.issue("shop.example", kind="RSA"), authority.issue("shop.example")
    server = serve(
        "environs",
        *("--certfile", str(rsa[0]), "--keyfile", str(rsa[1])),
        *("--tls-certificate", f"{ecdsa[0]}:{ecdsa[1]}"),
    )
    for word in ("RSA", "ECDSA"):
        context = authority.context(maximum_version=771)  # TLS 1.2, whose ciphers name the key
        context.set_ciphers(f"ECDHE-{word}-AES128-GCM-SHA256")
        environ = json.loads(dial_tls(server, context).get().body)
        assert environ["SSL_CIPHER"] == f"'ECDHE-{word}-AES128-GCM-SHA256'"


def test_ciphers_are_chosen(serve, options, authority, dial_tls):
    server = serve("hello", *options, "--ciphers", "ECDHE+CHACHA20:!aNULL:AES128-SHA")
    assert "`AES128-SHA` is not among the ciphers there are (ciphers)" in server.log()
    context = authority.context(maximum_version=771)
    assert dial_tls(server, context).socket.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(OSError, match=r"(?i)handshake|alert|reset"):
        dial_tls(server, context)


def test_the_servers_order_of_ciphers_counts(serve, mirror, options, authority, dial_tls):
    # OpenSSL's clients want AES with 256 bits first.
    assert dial_tls(mirror).socket.cipher()[0] == "TLS_AES_128_GCM_SHA256"
    context = authority.context(maximum_version=771)
    context.set_ciphers("ECDHE+AES256:ECDHE+AES128:ECDHE+CHACHA20")
    assert dial_tls(mirror, context).socket.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    context.set_ciphers("ECDHE+CHACHA20:ECDHE+AES256")
    assert dial_tls(mirror, context).socket.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    server = serve("hello", *options, "--ciphers", "ECDHE+AES256:ECDHE+AES128:ECDHE+CHACHA20")
    context.set_ciphers("ECDHE+AES128:ECDHE+AES256")
    assert dial_tls(server, context).socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_changed_file_is_read_again(serve, authority, dial_tls, workers, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def install():
        # In two steps, as by hand: between them nothing fits.
        for target, source in zip((key, chain), authority.issue("shop.example")[::-1], strict=True):
            fresh = tmp_path / "fresh"
            fresh.write_bytes(source.read_bytes())
            fresh.chmod(0o600)
            fresh.rename(target)

    install()
    server = serve("hello", "--certfile", str(chain), "--keyfile", str(key), workers=workers)
    before = dial_tls(server)
    first = serial(before)
    install()

    def is_new():
        return serial(dial_tls(server)) != first

    eventually(is_new, within=60)
    assert "the certificates have changed: new connections get the new ones" in server.log()
    assert before.get().status == 200, "connections that were open go on"
    new = serial(dial_tls(server))
    assert all(serial(dial_tls(server)) == new for _ in range(20)), "in every worker"
    assert "Booting worker" in server.log()
    assert server.log().count("Booting worker") == workers


def test_a_changed_file_that_is_no_good_changes_nothing(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    other, _ = authority.issue("shop.example")
    own = tmp_path / "chain.pem"
    own.write_bytes(chain.read_bytes())
    server = serve("hello", "--certfile", str(own), "--keyfile", str(key), workers=2)
    first = serial(dial_tls(server))
    for content, what in [
        (other.read_bytes(), "the key is not that of the certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "broken PEM"),
        (b"", "no certificate"),
    ]:
        own.write_bytes(content)
        eventually(lambda what=what: what in server.log(), within=60)
        assert serial(dial_tls(server)) == first
    own.unlink()
    eventually(lambda: f"cannot read `{own}`" in server.log(), within=60)
    assert serial(dial_tls(server)) == first
    said = "the certificates have changed, but the old ones stay: "
    assert server.log().count(said) == 4, "each is said once"
    own.write_bytes(chain.read_bytes())
    server.signal(signal.SIGHUP)
    eventually(lambda: server.log().count("Booting worker") == 4, within=60)


def test_a_reload_with_bad_files_keeps_everything(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    config = tmp_path / "settings.py"
    config.write_text(f"certfile, keyfile = {str(chain)!r}, {str(key)!r}\n")
    server = serve("hello", "-c", str(config))
    first = serial(dial_tls(server))
    other, other_key = authority.issue("shop.example")
    config.write_text(f"certfile, keyfile = {str(other)!r}, {str(key)!r}\n")
    server.signal(signal.SIGHUP)
    said = "Reload failed, the old settings stay: TLS: the key is not that of the certificate in"
    eventually(lambda: said in server.log(), within=60)
    assert serial(dial_tls(server)) == first
    config.write_text(f"certfile, keyfile = {str(other)!r}, {str(other_key)!r}\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: serial(dial_tls(server)) != first, within=60)


def test_a_reload_may_begin_and_end_to_speak_it(serve, options, dial, dial_tls, tmp_path):
    chain, key = options[1], options[3]
    config = tmp_path / "settings.py"
    config.write_text("")
    server = serve("hello", "-c", str(config))
    assert dial(server).get().status == 200

    def plain():
        return dial(server).get().status == 200

    def secured():
        try:
            return dial_tls(server).get().status == 200
        except OSError:
            return False

    for text, works in [(f"certfile, keyfile = {chain!r}, {key!r}\n", secured), ("", plain)]:
        config.write_text(text)
        server.signal(signal.SIGHUP)
        eventually(works, within=60)


def test_a_key_that_everybody_may_read_is_warned_about(serve, authority, dial_tls):
    chain, key = authority.issue("shop.example")
    key.chmod(0o604)
    server = serve("hello", "--certfile", str(chain), "--keyfile", str(key))
    said = f"the key in `{key}` can be read by every user of this machine"
    assert server.log().count(said) == 1
    assert dial_tls(server).get().status == 200


def openssl(*words, **run):
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, **run)


@pytest.mark.parametrize("kind", ["PKCS #8", "PKCS #1", "SEC 1"])
def test_keys_of_every_form(serve, authority, dial_tls, tmp_path, kind):
    chain, key = authority.issue("shop.example", kind="ECDSA" if kind == "SEC 1" else "RSA")
    own = tmp_path / "own.key"
    if kind == "PKCS #8":
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", own)
    elif kind == "PKCS #1":
        openssl("rsa", "-traditional", "-in", key, "-out", own)
    else:
        openssl("ec", "-in", key, "-out", own)
    name = {"PKCS #8": "PRIVATE", "PKCS #1": "RSA PRIVATE", "SEC 1": "EC PRIVATE"}[kind]
    assert own.read_text().startswith(f"-----BEGIN {name} KEY-----")
    server = serve("hello", "--certfile", str(chain), "--keyfile", str(own))
    assert dial_tls(server).get().status == 200


def test_certificate_and_key_in_one_file_in_any_order(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    for name, parts in [("first", (key, chain)), ("last", (chain, key))]:
        both = tmp_path / name
        both.write_bytes(b"".join(part.read_bytes() for part in parts))
        both.chmod(0o600)
        server = serve("hello", "--certfile", str(both))
        assert dial_tls(server).get().status == 200
        assert "TLS:" not in server.log()


NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (NOW - 20 * DAY, NOW - DAY, "was good until"),
        (NOW + DAY, NOW + 20 * DAY, "is good from"),
        (NOW - 80 * DAY, NOW + 5 * DAY, "only: renew it"),
        (NOW - 80 * DAY, NOW + 10 * DAY, None),
    ],
    ids=["over", "early", "soon", "good"],
)
def test_a_certificate_out_of_its_time_is_warned_about(
    serve, authority, dial_tls, tmp_path, begins, ends, said
):
    chain, key = authority.issue("shop.example", not_before=begins, not_after=ends)
    server = serve("hello", "--certfile", str(chain), "--keyfile", str(key))
    if said is None:
        assert "TLS:" not in server.log()
        assert dial_tls(server).get().status == 200
        return
    (line,) = [line for line in server.log().splitlines() if said in line]
    assert f"TLS: the certificate in `{chain}` " in line
    context = authority.context(check_hostname=False, verify_mode=ssl.CERT_NONE)
    assert dial_tls(server, context).get().status == 200, "a warning, and no more"


def test_a_certificate_that_is_over_when_it_is_read_again(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    own = tmp_path / "own.pem"
    own.write_bytes(chain.read_bytes() + key.read_bytes())
    own.chmod(0o600)
    server = serve("hello", "--certfile", str(own))
    chain, key = authority.issue("shop.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    own.write_bytes(chain.read_bytes() + key.read_bytes())
    eventually(lambda: f"TLS: the certificate in `{own}` was good until" in server.log(), within=60)


def test_a_certificate_without_alternative_names_is_warned_about(serve, dial_tls, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "chain.key"
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    openssl("req", "-x509", *made, "-subj", "/CN=shop.example", "-keyout", key, "-out", chain)
    server = serve("hello", "--certfile", str(chain), "--keyfile", str(key))
    said = f"TLS: the certificate in `{chain}` has no alternative name (subjectAltName)"
    assert server.log().count(said) == 1
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert dial_tls(server, context).get().status == 200


def test_certificates_that_are_not_in_order(serve, oxicorn, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    stranger = Authority(tmp_path, "Stranger").file
    own, last = tmp_path / "own.pem", tmp_path / "last.pem"
    own.write_bytes(chain.read_bytes() + stranger.read_bytes())
    server = serve("hello", "--certfile", str(own), "--keyfile", str(key))
    assert server.log().count(f"TLS: the certificates in `{own}` are not in order: ") == 1
    assert dial_tls(server).get().status == 200
    last.write_bytes(authority.file.read_bytes() + chain.read_bytes())
    words = ("--certfile", str(last), "--keyfile", str(key), "apps.hello:app")
    done = oxicorn("--check-config", *words)
    assert done.returncode == 1
    assert (
        f"the key is not that of the first certificate in `{last}`, but of a later" in done.stderr
    )


@pytest.fixture(scope="module")
def broken(authority, tmp_path_factory):
    """Files that nothing can be made of, by name."""
    folder = tmp_path_factory.mktemp("broken")
    chain, key = authority.issue("shop.example")
    _, other = authority.issue("shop.example")
    encrypted = folder / "encrypted.key"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", encrypted],
        check=True,
        capture_output=True,
        timeout=60,
    )
    empty = folder / "empty.pem"
    empty.touch()
    return {
        "chain": chain,
        "key": key,
        "other": other,
        "encrypted": encrypted,
        "empty": empty,
        "missing": folder / "missing.pem",
        "folder": folder,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--certfile missing --keyfile key", "cannot read `{missing}`: No such file"),
        ("--certfile chain --keyfile missing", "cannot read `{missing}`: No such file"),
        ("--certfile folder --keyfile key", "cannot read `{folder}`: is a directory"),
        ("--certfile empty --keyfile key", "no certificate in `{empty}`"),
        ("--certfile chain", "no private key (PKCS #8, PKCS #1 or SEC 1, in PEM) for `{chain}`"),
        ("--certfile chain --keyfile other", "the key is not that of the certificate in `{chain}`"),
        ("--certfile chain --keyfile encrypted", "the key is encrypted"),
        ("--keyfile key", "`keyfile` needs a `certfile`"),
        (
            "--certfile chain --keyfile key --cert-reqs 2",
            "need to be signed by somebody (ca_certs)",
        ),
        (
            "--certfile chain --keyfile key --cert-reqs 2 --ca-certs empty",
            "no certificate in `{empty}` (ca_certs)",
        ),
        (
            "--certfile chain --keyfile key --ciphers RC4-SHA:AES128-SHA",
            "`RC4-SHA:AES128-SHA` leaves no cipher; there are ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
    ],
)
@pytest.mark.parametrize("checks", [True, False], ids=["check", "start"])
def test_what_is_wrong_with_files_is_said(oxicorn, broken, words, said, checks):
    words = [str(broken.get(word, word)) for word in words.split()]
    check = ["--check-config"] if checks else ["--bind", "127.0.0.1:0"]
    done = oxicorn(*check, *words, "apps.hello:app")
    assert done.returncode == 1
    said = said.format(**broken)
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_tls_do_nothing_without_a_certificate(oxicorn, broken):
    words = ("--ca-certs", str(broken["chain"]), "--cert-reqs", "1", "--ciphers", "HIGH")
    done = oxicorn("--check-config", *words, "apps.hello:app")
    assert done.returncode == 0
    assert done.stderr.count("no TLS is spoken: set `certfile`") == 3


def test_an_unknown_authority_is_no_friend(mirror, dial_tls, tmp_path):
    stranger = Authority(tmp_path, "Stranger")
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        dial_tls(mirror, stranger.context())
    line = "TLS handshake failed for ip=127.0.0.1: received fatal alert"
    eventually(lambda: line in mirror.log(), within=60)
    assert dial_tls(mirror).get().status == 200
