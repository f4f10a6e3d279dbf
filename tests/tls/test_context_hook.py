"""The hook `ssl_context`: what it does to Python's context counts."""

from __future__ import annotations

import signal
import ssl

import pytest

from support import eventually

# As gunicorn's documentation has it.
NEWEST_ONLY = """
def ssl_context(conf, default_ssl_context_factory):
    import ssl
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
"""


@pytest.fixture
def hooked(serve, authority, tmp_path):
    """Serves with a hook, by its text."""
    chain, key = authority.issue("shop.example")
    config = tmp_path / "settings.py"
    files = f"certfile = {str(chain)!r}\nkeyfile = {str(key)!r}\n"

    def start(text):
        config.write_text(files + text)
        server = serve("environs", "-c", str(config))
        server.write = lambda text: config.write_text(files + text)
        return server

    return start


def only_tls12(authority):
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_the_oldest_version(hooked, authority, dial_tls):
    server = hooked(NEWEST_ONLY)
    assert dial_tls(server).socket.version() == "TLSv1.3"
    with pytest.raises(OSError, match=r"(?i)version"):
        dial_tls(server, only_tls12(authority))
    server.write("")
    server.signal(signal.SIGHUP)
    eventually(lambda: server.log().count("Booting worker") == 2, within=60)

    def is_spoken():
        try:
            return dial_tls(server, only_tls12(authority)).socket.version() == "TLSv1.2"
        except OSError:
            return False

    eventually(is_spoken, within=60)


def test_another_certificate_and_clients_that_need_one(serve, authority, dial_tls, tmp_path):
    chain, key = authority.issue("shop.example")
    other, other_key = authority.issue("shop.example", "other.example")
    config = tmp_path / "settings.py"
    config.write_text(
        f"""
certfile, keyfile = {str(chain)!r}, {str(key)!r}

def ssl_context(conf, default_ssl_context_factory):
    import ssl
    assert conf.certfile == certfile
    context = default_ssl_context_factory()
    context.load_cert_chain({str(other)!r}, {str(other_key)!r})
    context.load_verify_locations({str(authority.file)!r})
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
"""
    )
    server = serve("environs", "-c", str(config))
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(other, other_key)
    socket = dial_tls(server, context).socket
    names = {name for kind, name in socket.getpeercert()["subjectAltName"] if kind == "DNS"}
    assert names == {"shop.example", "other.example"}
    assert socket.selected_alpn_protocol() == "h2"
    stranger = authority.context()
    stranger.maximum_version = ssl.TLSVersion.TLSv1_2  # there the refusal is part of the handshake
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
        dial_tls(server, stranger)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)",
            "what default_ssl_context_factory() makes",
        ),
        ("return None", "(it is a NoneType)"),
        ("c = make(); c.sni_callback = print; return c", "`tls_certificates`"),
        ("c = make(); c.load_cert_chain('a', password='b'); return c", "must not be encrypted"),
        ("c = make(); c.load_verify_locations(capath='.'); return c", "by one file (cafile)"),
        ("c = make(); c.set_alpn_protocols(['spdy/1']); return c", "'spdy/1' is not spoken"),
        ("c = make(); c.maximum_version = ssl.TLSVersion.TLSv1_2; return c", "TLS 1.3 is spoken"),
        ("c = make(); c.load_cert_chain('nowhere.pem'); return c", "No such file"),
    ],
)
@pytest.mark.parametrize("check", [("--check-config",), ()])
def test_what_no_setting_can_say_stops_the_start(oxicorn, authority, tmp_path, body, said, check):
    chain, key = authority.issue("127.0.0.1")
    config = tmp_path / "settings.py"
    config.write_text(
        f"certfile, keyfile = {str(chain)!r}, {str(key)!r}\n"
        "def ssl_context(conf, make):\n    import ssl\n    " + body + "\n"
    )
    done = oxicorn(*check, "-b", "127.0.0.1:0", "-c", str(config), "apps.hello:app")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_tls_it_is_not_called(serve, tmp_path):
    config = tmp_path / "settings.py"
    config.write_text("def ssl_context(conf, make):\n    raise AssertionError\n")
    serve("hello", "-c", str(config))
