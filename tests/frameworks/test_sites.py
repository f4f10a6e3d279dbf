"""One site in five frameworks: what their users do every day, through two workers."""

from __future__ import annotations

import hashlib

import pytest
import requests

from apps.site import DOWNLOAD, lines

FRAMEWORKS = ["bottle", "django", "falcon", "flask", "pyramid"]


@pytest.fixture(scope="module", params=FRAMEWORKS)
def site(request, serve_module):
    return serve_module(f"{request.param}_site", workers=2).url


@pytest.fixture
def client():
    with requests.Session() as session:
        session.trust_env = False  # no proxy between the test and the server
        yield session


def test_hello(site, client):
    for _ in range(10):
        response = client.get(f"{site}/", timeout=30)
        assert (response.status_code, response.text) == (200, "hello")


def test_head_is_get_without_body(site, client):
    response = client.head(f"{site}/", timeout=30)
    assert response.status_code in (200, 405)  # Falcon does not route HEAD by itself
    assert response.content == b""
    assert client.get(f"{site}/", timeout=30).text == "hello"


def test_path_and_query_are_decoded_once(site, client):
    response = client.get(f"{site}/echo/a%20b/%C3%BC/c+d?q=%C3%A4%26x+y", timeout=30)
    assert response.json() == {"path": "a b/ü/c+d", "query": "ä&x y"}


def test_form(site, client):
    fields = {"name": "Grüße & Co", "empty": "no"}
    assert client.post(f"{site}/form", data=fields, timeout=30).json() == fields


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_500_000])
def test_file_upload(site, client, size):
    data = DOWNLOAD[:size]
    files = {"file": ("notes.bin", data, "application/octet-stream")}
    told = client.post(f"{site}/upload", files=files, timeout=60).json()
    assert told == {
        "name": "notes.bin",
        "size": size,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def test_streamed_response(site, client):
    response = client.get(f"{site}/stream?n=5000", timeout=60)
    assert response.status_code == 200
    assert response.content == b"".join(lines(5000))


def test_streamed_upload_in_chunks(site, client):
    # `requests` sends a generator as a chunked body.
    body = (piece for piece in (b"name=", b"in+chunks"))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = client.post(f"{site}/form", data=body, headers=headers, timeout=30)
    assert response.json() == {"name": "in chunks"}


def test_file_download(site, client):
    response = client.get(f"{site}/download", timeout=60)
    assert response.content == DOWNLOAD
    assert response.headers["Content-Length"] == str(len(DOWNLOAD))
    assert "data.bin" in response.headers["Content-Disposition"]


def test_session_lives_in_a_cookie(site, client):
    counts = [client.get(f"{site}/count", timeout=30).json()["count"] for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]


def test_redirect(site, client):
    response = client.get(f"{site}/redirect", timeout=30, allow_redirects=False)
    assert response.status_code == 302
    assert client.get(f"{site}/redirect", timeout=30).text == "hello"


def test_missing_page(site, client):
    assert client.get(f"{site}/missing", timeout=30).status_code == 404


def test_exception_is_a_500_and_the_site_goes_on(site, client):
    for _ in range(3):
        response = client.get(f"{site}/error", timeout=30)
        assert response.status_code == 500
        assert "meant to fail" not in response.text
        assert client.get(f"{site}/", timeout=30).text == "hello"
