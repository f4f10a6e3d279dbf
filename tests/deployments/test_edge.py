"""The files of deploy/ for ports 80 and 443, put together as docs/guides/edge.md says."""

from __future__ import annotations

import re
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support import eventually
from support.certificates import Authority
from support.front import DEPLOY, need
from support.server import environment

PROGRAM = "/srv/shop/.venv/bin/oxicorn"
OXICORN = str(Path(sys.executable).parent / "oxicorn")
GUIDE = DEPLOY.parent / "docs/guides/edge.md"
# What systemd does with the socket of a unit.
ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def renew(authority, tmp_path):
    """Has certbot's hook bring a new certificate to `tls.pem`."""
    lineage, target = tmp_path / "live" / "shop.example", tmp_path / "tls.pem"
    lineage.mkdir(parents=True)

    def run(**env):
        chain, key = authority.issue("shop.example")
        (lineage / "fullchain.pem").write_bytes(chain.read_bytes())
        (lineage / "privkey.pem").write_bytes(key.read_bytes())
        group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True)
        own = {
            "RENEWED_LINEAGE": str(lineage),
            "RENEWED_DOMAINS": "www.shop.example shop.example",
            "TARGET": str(target),
            "GROUP": group.stdout.strip(),
        }
        subprocess.run(
            [DEPLOY / "certbot-deploy-hook.sh"],
            env={**environment(), **own, **env},
            check=True,
            timeout=60,
        )
        return target

    return run


@pytest.fixture
def start(deploy, tmp_path):
    """Starts what a unit starts, on a socket that is opened for it; gives server and port."""
    listeners = []

    def run(unit, **replaced):
        text = (DEPLOY / unit).read_text().replace("\\\n", "")
        program, *options = shlex.split(re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)[1])
        assert program == PROGRAM
        for old, new in replaced.items():
            assert any(old in option for option in options)
            options = [option.replace(old, new) for option in options]
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        number = listener.fileno()
        command = [sys.executable, "-c", ACTIVATED, str(number), OXICORN, *options]
        env = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        server = deploy(command, tmp_path, env, pass_fds=[number])
        server.says("Booting worker")
        return server, listener.getsockname()[1]

    yield run
    for listener in listeners:
        listener.close()


def serial(authority, port):
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        authority.context().wrap_socket(plain, server_hostname="shop.example") as sock,
    ):
        return sock.getpeercert()["serialNumber"]


def test_a_renewed_certificate_is_served_and_nothing_restarts(renew, start, authority, tmp_path):
    (tmp_path / "shop.py").write_text("from apps.hello import app\n")
    target = renew()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert not target.with_name("tls.pem.new").exists()
    server, port = start("oxicorn-tls.service", **{"/etc/shop/tls.pem": str(target)})
    server.says("Booting worker", times=4)
    curl = [
        need("curl"), "-sS", "--fail", "--cacert", str(authority.file),
        "--resolve", f"shop.example:{port}:127.0.0.1", "-w", "%{http_version}",
    ]  # fmt: skip
    for words in ("--tls-max", "1.2"), ("--tlsv1.3",):
        done = subprocess.run(
            [*curl, *words, f"https://shop.example:{port}/"],
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == b"hello\n2"
    first = serial(authority, port)
    renew()
    eventually(lambda: serial(authority, port) != first, within=60)
    assert server.log().count("Booting worker") == 4
    assert "ERROR" not in server.log(), "key and certificate always fit together"
    assert "WARNING" not in server.log()


def test_the_certificate_of_another_site_is_none_of_ours(renew):
    target = renew()
    before = target.read_bytes()
    renew(RENEWED_DOMAINS="blog.example notshop.example")
    assert target.read_bytes() == before


def test_port_80_redirects_and_answers_challenges(start, tmp_path):
    challenges = tmp_path / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("token.thumbprint")
    _, port = start("oxicorn-redirect.service", **{"/var/lib/shop-acme": str(tmp_path)})
    curl = [
        need("curl"),
        "-sS",
        "-H",
        "Host: www.shop.example",
        "-w",
        "%{http_code} %header{location}",
    ]
    for path, expected in [
        ("/a?b=c", "308 https://www.shop.example/a?b=c"),
        ("/.well-known/acme-challenge/token", "token.thumbprint200 "),
    ]:
        done = subprocess.run(
            [*curl, f"http://127.0.0.1:{port}{path}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == expected


def test_sockets_and_services_belong_together():
    for name, port in [("oxicorn-tls", 443), ("oxicorn-redirect", 80)]:
        installed = name.replace("oxicorn", "shop")
        assert f"\nListenStream={port}\n" in (DEPLOY / f"{name}.socket").read_text()
        service = (DEPLOY / f"{name}.service").read_text()
        assert f"\nRequires={installed}.socket\n" in service
        assert (
            f"cp deploy/{name}.socket /etc/systemd/system/{installed}.socket" in GUIDE.read_text()
        )
        assert (
            f"cp deploy/{name}.service /etc/systemd/system/{installed}.service" in GUIDE.read_text()
        )


def test_the_firewall_of_the_guide_is_understood(tmp_path):
    nft = need("nft")
    rules = re.search(r"^```\n(table .+?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[1]
    file = tmp_path / "rules"
    file.write_text(rules)
    done = subprocess.run([nft, "--check", "-f", file], capture_output=True, text=True, timeout=60)
    if "Operation not permitted" in done.stderr:
        pytest.skip("only root may ask nft")
    assert (done.returncode, done.stderr) == (0, "")
