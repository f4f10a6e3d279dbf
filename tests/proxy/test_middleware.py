"""oxicorn.middleware on environs made by hand, and beside an application."""

from __future__ import annotations

import pytest

from oxicorn.middleware import ProxyFix, PublicUrl

PLAIN = {
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "5000",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "inner",
    "SERVER_NAME": "0.0.0.0",
    "SERVER_PORT": "80",
    "SCRIPT_NAME": "",
}


def fixed(fields, **options):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        return [b"done"]

    assert ProxyFix(app, **options)({**PLAIN, **fields}, None) == [b"done"]
    return {key: seen[key] for key in seen if not key.startswith("HTTP_X_")}


def changes(fields, **options):
    environ = fixed(fields, **options)
    return {key: environ[key] for key in PLAIN if environ[key] != PLAIN[key]}


def test_werkzeugs_defaults():
    fields = {
        "HTTP_X_FORWARDED_FOR": "1.1.1.1, 203.0.113.9",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "evil",
    }
    assert changes(fields) == {
        "REMOTE_ADDR": "203.0.113.9",
        "REMOTE_PORT": "0",
        "wsgi.url_scheme": "https",
    }


def test_every_field():
    fields = {
        "HTTP_X_FORWARDED_HOST": "shop.example",
        "HTTP_X_FORWARDED_PORT": "8443",
        "HTTP_X_FORWARDED_PREFIX": "/shop",
    }
    assert changes(fields, x_host=1, x_port=1, x_prefix=1) == {
        "HTTP_HOST": "shop.example:8443",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "8443",
        "SCRIPT_NAME": "/shop",
    }


def test_originals_are_kept():
    environ = fixed({"HTTP_X_FORWARDED_FOR": "203.0.113.9"})
    assert environ["werkzeug.proxy_fix.orig"]["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["oxicorn.proxy.orig"]["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize(
    "fields",
    [
        {"HTTP_X_FORWARDED_FOR": "unknown"},
        {"HTTP_X_FORWARDED_PROTO": "javascript"},
        {"HTTP_X_FORWARDED_PREFIX": "//evil.test"},
        {"HTTP_X_FORWARDED_HOST": "good@evil"},
    ],
)
def test_what_is_not_valid_is_not_taken(fields):
    assert changes(fields, x_host=1, x_prefix=1) == {}


def test_only_trusted_peers_are_believed():
    fields = {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert changes(fields, trusted="10.0.0.0/8") == {}
    assert changes(fields, trusted=["10.0.0.0/8", "127.0.0.0/8"])["REMOTE_ADDR"] == "203.0.113.9"


def test_several_proxies():
    fields = {"HTTP_X_FORWARDED_FOR": "203.0.113.9, 10.0.0.1"}
    assert changes(fields, x_for=2)["REMOTE_ADDR"] == "203.0.113.9"
    assert changes(fields, x_for=3) == {}


def test_bad_networks_are_refused():
    with pytest.raises(ValueError, match="zero bits"):
        ProxyFix(lambda environ, start_response: [], trusted="10.0.0.1/8")


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/shop/cart", "/cart"), ("/shop/", "/"), ("/shop", ""), ("/shopping", "/shopping")],
)
def test_public_url(path, seen):
    environ = {**PLAIN, "PATH_INFO": path}
    app = PublicUrl(lambda environ, start_response: [b"done"], scheme="https", prefix="shop/")
    assert app(environ, None) == [b"done"]
    assert environ["PATH_INFO"] == seen
    assert environ["SCRIPT_NAME"] == "/shop"
    assert environ["wsgi.url_scheme"] == "https"


def test_public_url_of_nothing_changes_nothing():
    environ = {**PLAIN, "PATH_INFO": "/a"}
    PublicUrl(lambda environ, start_response: [])(environ, None)
    assert environ == {**PLAIN, "PATH_INFO": "/a"}
