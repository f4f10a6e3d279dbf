"""The switches for input that is refused without them, each over a real socket.

What stays refused under all of them is tested in crates/oxicorn-http/tests/leniency.rs.
"""

from __future__ import annotations

import json

import pytest

CASES = {
    "permit_missing_host": (b"GET / HTTP/1.1\r\n\r\n", 400, {}),
    "permit_obsolete_folding": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n\ttwo\r\n\r\n",
        400,
        {"HTTP_X_LONG": "one   two"},
    ),
    "strip_header_spaces": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Odd : 1\r\n\r\n",
        400,
        {"HTTP_X_ODD": "1"},
    ),
    "permit_unconventional_http_method": (
        b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % (b"M" * 40),
        501,
        {"REQUEST_METHOD": "M" * 40},
    ),
    "permit_unconventional_http_version": (
        b"GET / HTTP/1.3\r\nHost: a\r\n\r\n",
        505,
        {"SERVER_PROTOCOL": "HTTP/1.1"},
    ),
    "casefold_http_method": (
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
        {"REQUEST_METHOD": "GET"},
    ),
}


@pytest.fixture
def app(tmp_path):
    (tmp_path / "shown.py").write_text(
        "import json\n"
        "def app(environ, start_response):\n"
        "    page = {k: v for k, v in environ.items() if isinstance(v, str)}\n"
        "    page = json.dumps(page).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(page)))])\n"
        "    return [page]\n"
    )
    return tmp_path


@pytest.mark.parametrize("setting", CASES)
def test_each_switch_permits_one_thing(serve, dial, app, setting):
    wire, _, expected = CASES[setting]
    server = serve("shown:app", "--" + setting.replace("_", "-"), cwd=app)
    for pieces in (False, True):
        with dial(server) as peer:
            if pieces:
                peer.send_in_pieces(wire)
            else:
                peer.send(wire)
            response = peer.response()
            assert response.status == 200
            assert expected.items() <= json.loads(response.body).items()
            # The connection goes on, and no other switch is on.
            for other, (odd, status, _) in CASES.items():
                if other != setting and status is not None:
                    peer.send(odd)
                    assert peer.response().status == status, other
                    break


def test_the_dangerous_one_is_warned_of(oxicorn):
    done = oxicorn("--check-config", "--strip-header-spaces", "apps.hello:app")
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: strip_header_spaces: a proxy in front may read ")
    assert done.stderr.count("\n") == 1
