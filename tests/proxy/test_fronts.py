"""Real proxies before a Flask site: who the client is, where links lead, what stays out."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from support import front
from support.front import DEPLOY
from support.server import free_port

# The block of many guides: it passes the client's own X-Forwarded-Proto through.
USUAL = """
location / {{
    proxy_pass http://{upstream};
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    {more}
}}
"""
CLIENT = "127.0.0.77"
"""A loopback address that no proxy here has, so that it can be told from them."""
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Real-IP": "6.6.6.6",
    "X_Forwarded_For": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;proto=https;host=evil",
}


class Site:
    """A client of the site through the last proxy of the row."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=60, source_address=(CLIENT, 0)
        )

    def get(self, path: str, fields: dict[str, str] | None = None, host: str = "shop.example"):
        self.connection.request("GET", path, headers={"Host": host, **(fields or {})})
        response = self.connection.getresponse()
        return response, response.read()

    def where(self, fields: dict[str, str] | None = None, host: str = "shop.example"):
        response, body = self.get("/where", fields, host)
        assert response.status == 200, body
        return json.loads(body)


@pytest.fixture
def start(tmp_path: Path):
    """Starts proxies one by one and ends them with the test; gives a client of the last one."""
    fronts, sites = [], []

    def run(kind, text):
        port = free_port()
        folder = tmp_path / f"front{len(fronts)}"
        folder.mkdir()
        fronts.append(kind(text.replace("@PORT@", str(port)), port, folder))
        sites.append(Site(port))
        return sites[-1]

    yield run
    for site in sites:
        site.connection.close()
    for each in fronts:
        each.end()


def block(upstream: str, *, port: str = "@PORT@", more: str = "", extra: str = "") -> str:
    location = USUAL.format(upstream=upstream, more=more)
    return f"{extra}\nserver {{ listen 127.0.0.1:{port}; {location} }}"


def deployed(name: str, server, *, port: str) -> str:
    """A configuration of deploy/ with a test's addresses."""
    text = (DEPLOY / name).read_text()
    places = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "bind :80": f"bind 127.0.0.1:{port}",
        "http://:80 {": f"http://:{port} {{",
        "*:80>": f"127.0.0.1:{port}>",
    }
    for usual, place in places.items():
        text = text.replace(usual, place)
    return text.replace("127.0.0.1:4000", f"127.0.0.1:{server.port}")


def check_site(site: Site, *, host: str = "shop.example", scheme: str = "http") -> None:
    """What must hold behind every proxy that is set up well."""
    for fields in (None, FORGED):
        told = site.where(fields)
        assert told["remote_addr"] == CLIENT
        assert told["url"] == f"{scheme}://{host}/item/7"
        assert told["scheme"] == scheme
    response, _ = site.get("/old")
    assert response.status == 302
    assert response.headers["Location"] == f"{scheme}://{host}/item/7"
    # A body, and the connection goes on.
    body = b"x" * 100_000
    site.connection.request("POST", "/echo", body=body, headers={"Host": "shop.example"})
    assert site.connection.getresponse().read() == body
    assert site.where()["remote_addr"] == CLIENT


LOCAL = ("--proxy-preset", "nginx-local", "--proxy-strip", "unused")


def test_the_usual_nginx_block(serve, start):
    server = serve("shop", *LOCAL)
    site = start(front.nginx, block(f"127.0.0.1:{server.port}"))
    check_site(site)
    told = site.where({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil"})
    assert told["url"] == "http://shop.example/item/7"
    assert "X-Forwarded-Proto" not in told["fields"]
    assert told["protocol"] == "HTTP/1.0", "the default of nginx"
    # `$host` has no port: links lose it. That is the block's doing.
    assert site.where(host="shop.example:8080")["url"] == "http://shop.example/item/7"
    # A client that reaches the port by itself speaks for itself only.
    server.stop()
    assert f"{CLIENT} - " in server.access_log()


def test_a_forged_list_is_only_text(serve, start):
    site = start(front.nginx, block(f"127.0.0.1:{serve('shop', *LOCAL).port}"))
    told = site.where({"X-Forwarded-For": 'for="unclosed, 127.0.0.1, '})
    assert told["remote_addr"] == CLIENT


def test_nginx_over_a_unix_socket(serve, start, tmp_path: Path):
    path = tmp_path / "shop.sock"
    serve("shop", *LOCAL, bind=f"unix:{path}")
    path.chmod(0o777)
    check_site(start(front.nginx, block(f"unix:{path}")))


def test_nginx_that_keeps_connections(serve, start):
    server = serve("shop", *LOCAL)
    extra = f"upstream shop {{ server 127.0.0.1:{server.port}; keepalive 4; }}"
    more = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    site = start(front.nginx, block("shop", more=more, extra=extra))
    check_site(site)
    assert site.where()["protocol"] == "HTTP/1.1"


def test_nginx_as_deployed(serve, start):
    server = serve("shop", "--proxy-preset", "nginx-local", "--proxy-x-proto", "1")
    site = start(front.nginx, deployed("nginx.conf", server, port="@PORT@"))
    check_site(site)
    told = site.where({"X-Forwarded-Proto": "https"}, host="shop.example:8080")
    assert told["url"] == "http://shop.example:8080/item/7"


def test_nginx_with_a_prefix_and_a_scheme(serve, start):
    server = serve("shop", *LOCAL, "--proxy-x-proto", "1", "--proxy-x-prefix", "1")
    more = "proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Prefix /shop;"
    site = start(front.nginx, block(f"127.0.0.1:{server.port}", more=more))
    told = site.where()
    assert told["url"] == "https://shop.example/shop/item/7"
    assert (told["root"], told["path"]) == ("/shop", "/where")


def test_nginx_with_a_mapped_host(serve, start):
    server = serve("shop", *LOCAL, "--proxy-map", "X-FHost=HTTP_HOST")
    more = "proxy_set_header X-FHost $http_host;"
    site = start(front.nginx, block(f"127.0.0.1:{server.port}", more=more))
    assert site.where(host="shop.example:81")["url"] == "http://shop.example:81/item/7"
    assert site.where({"X-FHost": "evil"})["url"] == "http://shop.example/item/7"


def test_two_proxies_in_a_row(serve, start):
    server = serve("shop", "--proxy-trusted", "127.0.0.1", "--proxy-x-for", "2")
    inner = start(front.nginx, block(f"127.0.0.1:{server.port}"))
    outer = start(front.nginx, block(f"127.0.0.1:{inner.port}"))
    check_site(outer)
    # Whoever goes round the outer one is the client, and gains nothing by it.
    assert inner.where({"X-Forwarded-For": "6.6.6.6"})["remote_addr"] == CLIENT


def test_haproxy_before_nginx(serve, start):
    server = serve("shop", "--proxy-trusted", "127.0.0.1", "--proxy-x-for", "2")
    inner = start(front.nginx, block(f"127.0.0.1:{server.port}"))
    outer = start(front.haproxy, deployed("haproxy-http.cfg", inner, port="@PORT@"))
    check_site(outer)


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_haproxy_with_the_proxy_protocol(serve, start, version):
    server = serve("shop", "--proxy-preset", "haproxy-proxy-protocol")
    text = deployed("haproxy.cfg", server, port="@PORT@").replace("send-proxy-v2", version)
    check_site(start(front.haproxy, text))
    server.stop()
    assert f"{CLIENT} - " in server.access_log()


def test_health_checks_of_haproxy_keep_the_peer(serve, start):
    server = serve("shop", "--proxy-preset", "haproxy-proxy-protocol")
    text = deployed("haproxy.cfg", server, port="@PORT@")
    text = text.replace("send-proxy-v2", "send-proxy-v2 check check-send-proxy inter 100ms")
    check_site(start(front.haproxy, text))
    assert "Invalid connection" not in server.log()


def test_haproxy_that_speaks_http(serve, start):
    options = ("--proxy-trusted", "127.0.0.1", "--proxy-x-for", "1", "--proxy-x-proto", "1")
    site = start(
        front.haproxy, deployed("haproxy-http.cfg", serve("shop", *options), port="@PORT@")
    )
    check_site(site)
    assert site.where({"X-Forwarded-Proto": "https"})["scheme"] == "http"


@pytest.mark.parametrize(
    ("kind", "name"), [(front.caddy, "Caddyfile"), (front.apache, "apache.conf")]
)
def test_caddy_and_apache(serve, start, kind, name):
    options = ("--proxy-trusted", "127.0.0.1", "--proxy-x-for", "1", "--proxy-x-proto", "1")
    site = start(kind, deployed(name, serve("shop", *options), port="@PORT@"))
    check_site(site)
    assert site.where({"X-Forwarded-Proto": "https"})["scheme"] == "http"
