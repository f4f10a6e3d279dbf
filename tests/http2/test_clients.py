"""Clients as they are: httpx, curl, nghttp and h2load."""

from __future__ import annotations

import re
import shutil
import subprocess

import httpx
import pytest


def run(*command: str, data: bytes = b"") -> str:
    """What a program prints; it has to end well."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    ended = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended
    return ended.stdout.decode(errors="replace")


@pytest.fixture
def server(serve2, kind):
    return serve2("mirror", *kind)


def test_httpx(server):
    with httpx.Client(http1=False, http2=True) as client:
        for number in range(5):
            response = client.post(f"{server.url}/{number}", content=b"x" * 200_000)
            assert (response.http_version, response.status_code) == ("HTTP/2", 200)
            told = response.json()
            assert (told["protocol"], len(told["body"])) == ("HTTP/2.0", 200_000)
        with client.stream("GET", server.url) as response:
            assert response.read()


def test_curl(server, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"y" * 3_000_000)
    options = ("-sS", "--fail", "--http2-prior-knowledge")
    # One request for each: curl 7.88 cannot use such a connection a second time.
    printed = run("curl", *options, "-w", "%{http_version}", "-o", "/dev/null", server.url)
    assert printed == "2"
    printed = run("curl", *options, "--data-binary", f"@{upload}", server.url)
    assert '"length": "3000000"' in printed
    assert run("curl", "-sS", "-w", "%{http_version}", "-o", "/dev/null", server.url) == "1.1"
    assert (
        run("curl", "-sS", "--http2", "-w", "%{http_version}", "-o", "/dev/null", server.url)
        == "1.1"
    )


def test_nghttp(server, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"z" * 100_000)
    printed = run("nghttp", "-v", f"{server.url}/a", f"{server.url}/b")
    assert printed.count(":status: 200") == 2
    assert "GOAWAY" in printed
    assert '"length": "100000"' in run("nghttp", "-d", str(upload), server.url)


def test_h2load(server):
    printed = run("h2load", "-n", "3000", "-c", "5", "-m", "50", server.url)
    assert re.search(r"3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed", printed), (
        printed
    )
