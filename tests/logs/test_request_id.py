"""Ids of requests and their place in a trace: in environ, the response, and both logs."""

from __future__ import annotations

import json
import re

import pytest

from support import eventually

MADE = re.compile(r"[0-9a-f]{32}")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"

APP = """
import json, logging

log = logging.getLogger('shop')

def app(environ, start_response):
    log.warning('at work')
    if environ['PATH_INFO'] == '/broken':
        raise ValueError('broken')
    fields = [('Content-Type', 'application/json')]
    if environ['PATH_INFO'] == '/own':
        fields.append(('x-request-id', 'mine'))
    start_response('200 OK', fields)
    names = ('oxicorn.', 'HTTP_X_REQUEST_ID', 'HTTP_X_AMZN')
    return [json.dumps({k: v for k, v in environ.items() if k.startswith(names)
                        and isinstance(v, str) and 'proxy' not in k}).encode()]
"""


@pytest.fixture
def start(serve, tmp_path):
    """A server of the application above."""

    def with_options(*options, **more):
        (tmp_path / "shop_pages.py").write_text(APP)
        return serve("shop_pages:app", *options, cwd=tmp_path, **more)

    return with_options


def names_of(peer, path="/", *fields):
    return json.loads(peer.get(path, *fields).body)


def test_nothing_is_named_unless_something_shows_it(start, dial):
    assert names_of(dial(start()), "/", "X-Request-ID: r-1") == {"HTTP_X_REQUEST_ID": "r-1"}


@pytest.mark.parametrize(
    "options",
    [
        ["--request-id", "on"],
        ["--log-format", "json"],
        ["--access-logformat", "%({request_id}x)s"],
        ["--access-logformat", "%({oxicorn.request_id}e)s"],
        ["--request-id-response"],
    ],
)
def test_what_shows_ids_has_them_made(start, dial, options):
    names = names_of(dial(start(*options)))
    assert MADE.fullmatch(names["oxicorn.request_id"])
    assert names["HTTP_X_REQUEST_ID"] == names["oxicorn.request_id"]


def test_off_is_off(start, dial):
    server = start("--request-id", "off", "--log-format", "json")
    assert names_of(dial(server)) == {}
    assert "request_id" not in json.loads(eventually(server.access_log))


def test_ids_differ_between_requests_and_workers(start, dial):
    server = start("--request-id", "on", workers=3)
    seen = []
    for _ in range(20):
        with dial(server) as peer:
            seen += [names_of(peer)["oxicorn.request_id"] for _ in range(3)]
    assert len(set(seen)) == 60


def test_a_trusted_peer_gives_the_id(start, dial):
    peer = dial(start("--request-id", "on"))
    assert names_of(peer, "/", "x-request-id: r-1")["oxicorn.request_id"] == "r-1"
    aws = "Root=1-67891233-abcdef012345678912345678"
    assert names_of(peer, "/", f"X-Request-ID: {aws}")["oxicorn.request_id"] == aws


@pytest.mark.parametrize(
    "fields",
    [
        ["X-Request-ID: a b"],
        ["X-Request-ID: <b>"],
        ['X-Request-ID: "'],
        ["X-Request-ID:"],
        ["X-Request-ID: " + "a" * 201],
        ["X-Request-ID: a", "X-Request-ID: b"],
    ],
)
def test_an_id_that_does_not_fit_is_replaced(start, dial, fields):
    names = names_of(dial(start("--request-id", "on")), "/", *fields)
    assert MADE.fullmatch(names["oxicorn.request_id"])
    assert names["HTTP_X_REQUEST_ID"] == names["oxicorn.request_id"]


def test_peers_that_are_not_trusted_give_none(start, dial):
    server = start("--request-id", "on", "--forwarded-allow-ips", "192.0.2.1")
    names = names_of(dial(server), "/", "X-Request-ID: r-1")
    assert MADE.fullmatch(names["oxicorn.request_id"])
    assert names["HTTP_X_REQUEST_ID"] == names["oxicorn.request_id"]


def test_the_field_can_be_another(start, dial):
    server = start("--request-id", "on", "--request-id-header", "X-Amzn-Trace-Id")
    names = names_of(dial(server), "/", "X-Amzn-Trace-Id: r-1", "X-Request-ID: r-2")
    assert names["oxicorn.request_id"] == names["HTTP_X_AMZN_TRACE_ID"] == "r-1"
    assert names["HTTP_X_REQUEST_ID"] == "r-2"


def test_a_name_that_is_none_is_refused(oxicorn):
    done = oxicorn("--request-id-header", "X Request", "--check-config", "apps.hello:app")
    assert "request_id_header: expected the name of a field, got `'X Request'`" in done.stderr


def test_the_trace_is_in_environ(start, dial):
    names = names_of(dial(start("--request-id", "on")), "/", TRACEPARENT)
    assert (names["oxicorn.trace_id"], names["oxicorn.span_id"]) == (TRACE, SPAN)


def test_responses_say_it_if_asked(start, dial):
    peer = dial(start("--request-id-response"))
    response = peer.get("/", "X-Request-ID: r-1")
    assert response.get("X-Request-ID") == "r-1"
    assert peer.get("/own").get("X-Request-ID") == "mine"
    assert peer.get("/broken", "X-Request-ID: r-2").get("X-Request-ID") == "r-2"


def test_responses_do_not_say_it_otherwise(start, dial):
    assert dial(start("--request-id", "on")).get("/").get("X-Request-ID") is None


def test_atoms_of_the_access_log(start, dial):
    form = "%({request_id}x)s %({trace_id}x)s %({span_id}x)s %({other}x)s"
    server = start("--access-logformat", form)
    peer = dial(server)
    peer.get("/", "X-Request-ID: r-1", TRACEPARENT)
    peer.get("/", "X-Request-ID: r-2")
    eventually(lambda: server.access_log().count("\n") == 2)
    assert server.access_log() == f"r-1 {TRACE} {SPAN} -\nr-2 - - -\n"


def test_one_id_in_both_logs_as_json(start, dial):
    server = start("--log-format", "json")
    assert dial(server).get("/broken", TRACEPARENT).status == 500
    line = json.loads(eventually(server.access_log))
    assert MADE.fullmatch(line["request_id"])
    found = [json.loads(each) for each in server.log().splitlines() if each.startswith("{")]
    (failure,) = [each for each in found if each["level"] == "error"]
    for name in ("request_id", "trace_id", "span_id"):
        assert failure[name] == line[name]


def test_a_failure_in_the_text_log_names_its_request(start, dial):
    server = start("--request-id", "on")
    dial(server).get("/broken", "X-Request-ID: r-1")
    eventually(
        lambda: "Error handling request GET /broken request_id=r-1\nTraceback" in server.log()
    )


def test_refused_requests_have_one_too(start, dial):
    server = start("--log-format", "json")
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().status == 400
    assert MADE.fullmatch(json.loads(eventually(server.access_log))["request_id"])


OWN = """
import logging
from gunicorn.glogging import Logger

class Own(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(lambda record: setattr(
            record, 'msg', f"{record.msg} <{getattr(record, 'request_id', None)}>") or True)
"""


def test_loggers_of_ones_own(start, dial, tmp_path, without_gunicorn):
    (tmp_path / "own.py").write_text(OWN)
    form = "%({request_id}x)s %({trace_id}x)s %(s)s"
    options = ["--logger-class", "own.Own", "--access-logformat", form]
    server = start(*options, env=without_gunicorn)
    peer = dial(server)
    peer.get("/broken", "X-Request-ID: r-1", TRACEPARENT)
    assert eventually(server.access_log) == f"r-1 {TRACE} 500\n"
    assert "Error handling request GET /broken request_id=r-1 <r-1>" in server.log()
    with dial(server) as other:
        other.send(b"nonsense\r\n\r\n")
        assert other.response().status == 400
    eventually(lambda: MADE.search(server.access_log()))


FILTER = """
logconfig_dict = {
    'version': 1,
    'filters': {'request': {'()': 'oxicorn.logger.RequestIdFilter'}},
    'formatters': {'own': {'format': '%(name)s %(request_id)s %(trace_id)s: %(message)s'}},
    'handlers': {'own': {'class': 'logging.StreamHandler', 'filters': ['request'],
                         'formatter': 'own'}},
    'root': {'handlers': ['own']},
    'loggers': {'gunicorn.error': {'level': 'INFO', 'handlers': ['own'], 'propagate': False}},
}
"""


@pytest.mark.parametrize("options", [[], ["--threads", "3"], ["-k", "gevent"]])
def test_records_of_the_application(start, dial, tmp_path, options):
    if "gevent" in options:
        pytest.importorskip("gevent")
    (tmp_path / "gunicorn.conf.py").write_text(FILTER)
    server = start(*options)
    peer = dial(server)
    for number in range(5):
        assert peer.get("/", f"X-Request-ID: r-{number}", TRACEPARENT).status == 200
        eventually(lambda n=number: f"shop r-{n} {TRACE}: at work" in server.log())
    assert peer.get("/").status == 200
    eventually(lambda: re.search(r"shop [0-9a-f]{32} -: at work", server.log()))
    assert "gunicorn.error - -: Booting worker" in server.log()


def ask(peer, path, *fields):
    lines = [f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]
    peer.send("\r\n".join(lines).encode())


def test_a_worker_that_is_stuck_is_named_with_its_request(serve, dial, tmp_path):
    options = ("--timeout", "1", "--request-id", "on")
    server = serve("hog", *options, env={"HOG": str(tmp_path)})
    ask(dial(server), "/sleep/one", "X-Request-ID: r-1")
    line = r"\[CRITICAL\] In worker .*: GET /sleep/one client=127\.0\.0\.1 request_id=r-1\n"
    eventually(lambda: re.search(line, server.log()))
    (tmp_path / "one.end").touch()


@pytest.mark.parametrize("options", [[], ["--threads", "3"], ["-k", "gevent"]])
def test_a_request_over_its_limits_is_named(serve, dial, tmp_path, options):
    if "gevent" in options:
        pytest.importorskip("gevent")
    limits = ["--timeout", "0", "--request-timeout-log", "0.2", "--request-timeout", "0.5"]
    limits += ["--request-timeout-grace", "0.2", "--request-id-response"]
    server = serve("timed", *limits, *options, env={"TIMED": str(tmp_path)})
    peer = dial(server)
    ask(peer, "/swallow/one", "X-Request-ID: r-1")
    response = peer.response()
    assert (response.status, response.get("X-Request-ID")) == (504, "r-1")
    request = "GET /swallow/one client=127.0.0.1 request_id=r-1"
    for what in ("Request takes long", "Request timed out", "Request does not end"):
        eventually(lambda what=what: f"{what}: {request} for " in server.log())
    eventually(lambda: f"Stack of {request} (most recent call last):\n" in server.log())
    (tmp_path / "one.end").touch()


def lines_of(server):
    """Each line of the error log, which must be JSON."""
    return [json.loads(line) for line in server.log().splitlines()]


def test_json_has_the_names_as_members(serve, dial, tmp_path):
    limits = ["--timeout", "3", "--request-timeout-log", "0.2", "--log-format", "json"]
    server = serve("hog", *limits, env={"HOG": str(tmp_path)})
    peer = dial(server)
    ask(peer, "/sleep/one", "X-Request-ID: r-1", TRACEPARENT)
    assert peer.closed_by_server()

    def told(begin):
        return [line for line in lines_of(server) if line["message"].startswith(begin)]

    [line] = eventually(lambda: told("In worker"))
    assert line["request_id"] == "r-1"
    assert "request_id" not in line["message"]
    for begin in ("Request takes long", "Stack of"):
        [line] = told(begin)
        assert (line["request_id"], line["trace_id"], line["span_id"]) == ("r-1", TRACE, SPAN)
        assert "request_id" not in line["message"]
    (tmp_path / "one.end").touch()


def test_a_refusal_has_one_id_everywhere(start, dial):
    server = start("--log-format", "json", "--request-id-response")
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        response = peer.response()
    [warning] = eventually(
        lambda: [line for line in lines_of(server) if line["level"] == "warning"]
    )
    assert warning["message"].startswith("Invalid request from")
    found = json.loads(eventually(server.access_log))["request_id"]
    assert found == warning["request_id"] == response.get("X-Request-ID")
    assert MADE.fullmatch(found)


def test_a_refusal_in_the_text_log_names_it(start, dial):
    server = start("--request-id", "on")
    with dial(server) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.response().get("X-Request-ID") is None
    eventually(lambda: re.search(r"Invalid request .* request_id=[0-9a-f]{32}\n", server.log()))


def test_an_answer_of_health_path_says_it(start, dial):
    server = start("--request-id-response", "--health-path", "/health")
    assert dial(server).get("/health", "X-Request-ID: r-1").get("X-Request-ID") == "r-1"
