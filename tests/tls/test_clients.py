"""Clients with certificates, and what the application is told of them."""

from __future__ import annotations

import ast
import datetime
import json
import ssl
import subprocess

import pytest

from support.certificates import Authority

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Who signs the certificates of clients."""
    return Authority(tmp_path_factory.mktemp("members"), "Members")


@pytest.fixture(scope="module")
def member(members):
    return members.issue(
        "ann@members.example",
        common_name='Ann "A", of O+S',
        organization_name="Größe",
        organization_unit_name="Unit;1",
    )


@pytest.fixture(scope="module", params=["1", "2"], ids=["optional", "required"])
def server(request, serve_module, options, members):
    words = ("--ca-certs", str(members.file), "--cert-reqs", request.param)
    server = serve_module("environs", *options, *words)
    server.requires = request.param == "2"
    return server


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def client(request, authority):
    return authority.context(minimum_version=request.param, maximum_version=request.param)


def told(peer):
    return json.loads(peer.get().body)


def test_a_member_is_known(server, dial_tls, client, member):
    client.load_cert_chain(*member)
    peer = dial_tls(server, client)
    for _ in range(2):
        environ = {key: value[1:-1] for key, value in told(peer).items()}
        assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert "Ann" in environ["SSL_CLIENT_S_DN_CN"]
        assert environ["SSL_CLIENT_S_DN_OU"] == "Unit;1"
        assert environ["SSL_CLIENT_I_DN_O"] == "Members"


def test_the_variables_are_those_of_openssl(server, dial_tls, client, member):
    client.load_cert_chain(*member)
    said = told(dial_tls(server, client)).items()
    environ = {key: ast.literal_eval(value) for key, value in said if "SSL" in key}

    def openssl(*words):
        command = ["openssl", "x509", "-in", member[0], "-noout", *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()

    def value(*words):
        return openssl(*words).strip().partition("=")[2]

    assert environ["SSL_CLIENT_M_SERIAL"] == value("-serial")
    assert environ["SSL_CLIENT_V_START"] == value("-startdate")
    assert environ["SSL_CLIENT_V_END"] == value("-enddate")
    options = ("-nameopt", "RFC2253,-esc_msb,utf8")
    assert environ["SSL_CLIENT_S_DN"].encode("latin-1").decode() == value("-subject", *options)
    assert environ["SSL_CLIENT_I_DN"].encode("latin-1").decode() == value("-issuer", *options)
    pem = environ["SSL_CLIENT_CERT"]
    assert ssl.PEM_cert_to_DER_cert(pem) == ssl.PEM_cert_to_DER_cert(
        member[0].read_text().partition("-----END CERTIFICATE-----")[0]
        + "-----END CERTIFICATE-----\n"
    )
    assert environ["SSL_CLIENT_M_VERSION"] == "3"


def test_alternative_names_and_the_time_that_is_left(server, dial_tls, client, members):
    now = datetime.datetime.now(datetime.timezone.utc)
    names = ["a.members.example", "eve@members.example", "b.members.example", "10.0.0.1"]
    client.load_cert_chain(
        *members.issue(*names, not_after=now + datetime.timedelta(days=30, hours=1))
    )
    environ = {key: value[1:-1] for key, value in told(dial_tls(server, client)).items()}
    said = {key: value for key, value in environ.items() if "_SAN_" in key}
    assert said == {
        "SSL_CLIENT_SAN_DNS_0": "a.members.example",
        "SSL_CLIENT_SAN_DNS_1": "b.members.example",
        "SSL_CLIENT_SAN_Email_0": "eve@members.example",
    }
    assert environ["SSL_CLIENT_V_REMAIN"] == "30"


def test_of_many_names_some_are_told(server, dial_tls, client, members):
    client.load_cert_chain(*members.issue(*[f"{n}.members.example" for n in range(50)]))
    environ = told(dial_tls(server, client))
    assert len([name for name in environ if name.startswith("SSL_CLIENT_SAN_DNS_")]) == 32


def test_one_without_is_turned_away_only_where_one_is_required(server, dial_tls, client):
    if server.requires:
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
            told(dial_tls(server, client))
    else:
        environ = told(dial_tls(server, client))
        assert environ["SSL_CLIENT_VERIFY"] == "'NONE'"
        assert not [name for name in environ if name.startswith("SSL_CLIENT_S")]


def test_a_stranger_is_turned_away(server, dial_tls, client, tmp_path):
    client.load_cert_chain(*Authority(tmp_path, "Stranger").issue("eve@example.org"))
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
        told(dial_tls(server, client))


def test_a_certificate_that_is_over_is_turned_away(server, dial_tls, client, members):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    pair = members.issue("bob@members.example", not_before=past, not_after=past.replace(year=2021))
    client.load_cert_chain(*pair)
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof"):
        told(dial_tls(server, client))


def test_a_resumed_session_knows_the_member_still(server, dial_tls, client, member):
    client.load_cert_chain(*member)
    peer = dial_tls(server, client)
    first = told(peer)
    again = dial_tls(server, client, session=peer.socket.session)
    environ = told(again)
    assert again.socket.session_reused
    assert environ["SSL_CLIENT_S_DN"] == first["SSL_CLIENT_S_DN"]
    assert environ["SSL_CLIENT_VERIFY"] == "'SUCCESS'"


def test_nobody_is_asked_by_default(mirror, dial_tls, client, member):
    client.load_cert_chain(*member)
    names = json.loads(dial_tls(mirror, client).get().body)["names"]
    assert not [name for name in names if name.startswith("SSL_CLIENT")]
