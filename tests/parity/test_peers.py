"""The servers whose place ours take, as they are installed: a new argument or method fails here,
and so does what a program sees of ours and not of theirs.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings

import pytest

import oxicorn
from apps.hello import app
from oxicorn import waitress_names
from support.server import TESTS, environment

QUIET = {"PYTHONWARNINGS": "ignore"}


def arguments(function):
    """Name and default of each argument, without `self`."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.name != "self"}


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def run(program, *given, env=None):
    """What a program printed, also when it failed in the end."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "apps" / f"{program}.py"), *given],
        env=environment({**QUIET, **(env or {})}),
        capture_output=True,
        text=True,
        timeout=180,
    )
    failed = [f"ended with {done.returncode}", done.stderr] if done.returncode else []
    return done.stdout.splitlines() + failed


def test_arguments_and_members_of_gevents_server():
    pywsgi = pytest.importorskip("gevent.pywsgi")
    from oxicorn import gevent as ours

    theirs = arguments(pywsgi.WSGIServer.__init__)
    assert arguments(ours.WSGIServer.__init__) == theirs
    assert set(ours.__all__) >= set(pywsgi.__all__)
    kinds = (pywsgi.WSGIServer, ours.WSGIServer)
    servers = [kind(("127.0.0.1", 0), app, log=None) for kind in kinds]
    for step in ("", "start", "stop"):
        for server in servers:
            getattr(server, step or "full")()
        assert public(servers[0]) <= public(servers[1])
    assert public(pywsgi.WSGIHandler) <= public(ours.WSGIHandler)
    for name in public(pywsgi.WSGIServer):
        method = getattr(pywsgi.WSGIServer, name)
        if inspect.isfunction(method):
            assert list(arguments(getattr(ours.WSGIServer, name))) == list(arguments(method)), name


def test_arguments_and_members_of_tornados_server():
    pytest.importorskip("tornado")
    from tornado import httpserver, wsgi

    from oxicorn import tornado as ours

    theirs = arguments(httpserver.HTTPServer.initialize)
    own = arguments(ours.HTTPServer.initialize)
    assert list(own)[: len(theirs)] == list(theirs)
    assert {name: own[name] for name in theirs} == theirs
    theirs = arguments(wsgi.WSGIContainer.__init__)
    assert arguments(ours.WSGIContainer.__init__) == theirs
    assert issubclass(ours.HTTPServer, httpserver.HTTPServer)
    assert issubclass(ours.WSGIContainer, wsgi.WSGIContainer)


def test_arguments_of_eventlets_server():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wsgi = pytest.importorskip("eventlet.wsgi")
        from oxicorn import eventlet as ours
    theirs, own = arguments(wsgi.server), arguments(ours.server)
    assert list(own)[: len(theirs)] == list(theirs)
    different = {name for name in theirs if own[name] != theirs[name]}
    # No client gets a traceback, no line repeats what it claims, and no name is rewritten.
    assert different == {"protocol", "debug", "log_x_forwarded_for", "capitalize_response_headers"}


# A value of each of waitress's keywords that is not its default.
WAITRESS = {
    "host": "127.0.0.2",
    "port": 0,
    "ipv4": False,
    "ipv6": False,
    "listen": "127.0.0.1:0",
    "threads": 7,
    "trusted_proxy": "10.0.0.1",
    "trusted_proxy_count": 2,
    "trusted_proxy_headers": "x-forwarded-for",
    "log_untrusted_proxy_headers": True,
    "clear_untrusted_proxy_headers": True,
    "url_scheme": "https",
    "url_prefix": "/mount",
    "backlog": 17,
    "recv_bytes": 100,
    "send_bytes": 100,
    "outbuf_overflow": 100,
    "outbuf_high_watermark": 100,
    "inbuf_overflow": 100,
    "connection_limit": 17,
    "cleanup_interval": 17,
    "channel_timeout": 17,
    "log_socket_errors": True,
    "max_request_header_size": 1000,
    "max_request_body_size": 1000,
    "expose_tracebacks": True,
    "unix_socket": "a.sock",
    "unix_socket_perms": "666",
    "sockets": [],
    "channel_request_lookahead": 3,
    "server_name": "a.example",
    "asyncore_loop_timeout": 3,
    "asyncore_use_poll": True,
    "ident": "mine",
}
# What has a meaning only beside another one.
BESIDE = {
    "trusted_proxy_count": {
        "trusted_proxy": "10.0.0.1",
        "trusted_proxy_headers": "x-forwarded-for",
    },
    "trusted_proxy_headers": {"trusted_proxy": "10.0.0.1"},
    "unix_socket_perms": {"unix_socket": "a.sock"},
    "ipv4": {"host": "*"},
    "ipv6": {"host": "*"},
}


def test_every_keyword_of_waitress_is_known():
    adjustments = pytest.importorskip("waitress.adjustments")
    theirs = {name for name, _ in adjustments.Adjustments._params}
    assert theirs == {each.keyword for each in waitress_names.KEYWORDS} == set(WAITRESS)


# These are ours too, or have a test with real sockets.
@pytest.mark.parametrize("name", sorted(set(WAITRESS) - {"host", "port", "sockets"}))
def test_every_keyword_of_waitress_has_an_effect_or_warns(name):
    beside = BESIDE.get(name, {})
    given = {**beside, name: WAITRESS[name]}
    meant = waitress_names.translate(given)
    assert meant != waitress_names.translate(beside)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        oxicorn.Server(app, **given)
    said = [str(each.message) for each in caught]
    assert [text.partition(":")[0] for text in said] == [
        f"`{keyword}` has no effect" for keyword in meant.no_effect
    ]


def peer_and_ours(program, modules, scenario, **env):
    theirs, ours = run(program, modules[0], scenario), run(program, modules[1], scenario, env=env)
    assert theirs
    assert not any(line.startswith("ended with") for line in theirs)
    assert ours == theirs


@pytest.mark.parametrize("loop", ["libev-cext", "libuv-cffi"])
@pytest.mark.parametrize(
    "scenario",
    ["life", "listeners", "spawns", "logs", "environs", "failures", "bodies", "connections"],
)
def test_what_programs_see_of_gevents_server(scenario, loop):
    pytest.importorskip("gevent")
    modules = ("gevent.pywsgi", "oxicorn.gevent")
    # Theirs is on the loop that gevent takes by itself; on the other one it drops connections.
    peer_and_ours("gevent_peer", modules, scenario, GEVENT_LOOP=loop)


@pytest.mark.parametrize(
    "scenario",
    [
        "life",
        "attributes",
        "limits",
        "unpacking",
        "environs",
        "proxies",
        "beside",
        "overrides",
        "streaming",
        "instance",
    ],
)
def test_what_programs_see_of_tornados_server(scenario):
    pytest.importorskip("tornado")
    peer_and_ours("tornado_peer", ("tornado", "oxicorn"), scenario)


@pytest.mark.parametrize("scenario", ["arguments", "logs", "ends", "sockets"])
def test_what_programs_see_of_eventlets_server(scenario):
    pytest.importorskip("eventlet")
    peer_and_ours("eventlet_peer", ("eventlet.wsgi", "oxicorn.eventlet"), scenario)
