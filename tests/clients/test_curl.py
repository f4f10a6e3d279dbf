"""curl, which is what people try first."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from apps.site import DOWNLOAD

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def url(serve_module):
    return serve_module("mirror", workers=2).url


def curl(*args: str, data: bytes | None = None) -> bytes:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60", *args]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=90).stdout


def test_get(url):
    told = json.loads(curl(f"{url}/some%20page?a=b"))
    assert (told["method"], told["path"], told["query"]) == ("GET", "/some page", "a=b")


def test_head(url):
    head = curl("--head", url).decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Length:" in head


@pytest.mark.parametrize("size", [0, 5, 1024 * 1024 + 1, 3_000_000])
def test_upload_with_expectation(url, size):
    """curl waits for `100 Continue` before a large body; the header makes it wait for any."""
    fields = ["--header", "Expect: 100-continue", "--header", "Content-Type: text/plain"]
    told = json.loads(curl("--data-binary", "@-", *fields, url, data=DOWNLOAD[:size]))
    assert told["body"].encode("latin-1") == DOWNLOAD[:size]
    assert told["length"] == str(size)


def test_chunked_upload(url):
    told = json.loads(curl("--upload-file", "-", f"{url}/put", data=DOWNLOAD[:200_000]))
    assert told["method"] == "PUT"
    assert told["body"].encode("latin-1") == DOWNLOAD[:200_000]
    assert told["length"] == "200000"


def test_form_with_a_file(url, tmp_path):
    (tmp_path / "notes.txt").write_text("some notes")
    told = json.loads(curl("--form", "a=b", "--form", f"file=@{tmp_path}/notes.txt", url))
    assert told["type"].startswith("multipart/form-data; boundary=")
    assert "some notes" in told["body"]


def test_one_connection_for_many_urls(url):
    counted = curl("--write-out", "%{num_connects}\n", "--output", "/dev/null", f"{url}/[1-5]")
    assert counted == b"1\n0\n0\n0\n0\n"


def test_http_1_0(url):
    assert json.loads(curl("--http1.0", url))["protocol"] == "HTTP/1.0"
