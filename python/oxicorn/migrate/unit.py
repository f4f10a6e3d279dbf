"""From NGINX Unit's configuration, as its control socket gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from oxicorn.errors import Error
from oxicorn.migrate.plan import Plan, Verdict
from oxicorn.migrate.unit_log_format import translate

__all__ = ["ROWS", "from_json"]

# The guide's table: option, setting, remark.
ROWS = (
    ("`listeners`", "`bind`", "those that lead to the application"),
    ("`listeners` … `tls`", "`certfile`, `keyfile`", "files instead of uploaded bundles"),
    ("`listeners` … `forwarded`", "`proxy`", "trusted networks and the fields they may send"),
    ("`listeners` … `backlog`", "`backlog`", ""),
    ("`routes`", "", "followed to the application; conditions, `share` and `return` have none"),
    ("`applications` … `module`, `callable`, `factory`", "`wsgi_app`", ""),
    ("… `targets`", "", "one application for each server"),
    ("… `path`", "`pythonpath`", ""),
    ("… `home`", "", "install oxicorn into that environment"),
    ("… `working_directory`", "`chdir`", ""),
    ("… `environment`", "`raw_env`", ""),
    ("… `user`, `group`", "`user`, `group`", ""),
    ("… `processes`", "`workers`", "a fixed number: `max` if it is a range"),
    ("… `threads`", "`threads`", ""),
    ("… `limits` `timeout`", "`timeout`", "with several threads it guards the worker"),
    ("… `limits` `requests`", "`max_requests`", ""),
    ("… `prefix`", "", "`oxicorn.middleware.PublicUrl`, or `proxy_x_prefix`"),
    ("… `stdout`, `stderr`", "`errorlog`", "with `capture_output`"),
    ("… `isolation`", "", "`ProtectSystem=` and its like of systemd"),
    ("`settings` `http` `header_read_timeout`", "`client_head_timeout`", ""),
    ("… `body_read_timeout`", "`client_body_grace`", "a rate is asked for after that time"),
    ("… `send_timeout`", "`client_send_timeout`", ""),
    ("… `idle_timeout`", "`keepalive`", ""),
    ("… `max_body_size`", "`limit_request_body`", ""),
    ("… `body_temp_path`", "`tmp_upload_dir`", ""),
    ("… `discard_unsafe_fields`", "`header_map`", ""),
    ("… `server_version`", "`server_header`", ""),
    (
        "`access_log`",
        "`accesslog`, `access_log_format`",
        'an object as format means `log_format = "json"`',
    ),
)

_HTTP = {
    "header_read_timeout": "client_head_timeout",
    "body_read_timeout": "client_body_grace",
    "send_timeout": "client_send_timeout",
    "idle_timeout": "keepalive",
    "max_body_size": "limit_request_body",
    "body_temp_path": "tmp_upload_dir",
}
_SAME = {"working_directory": "chdir", "user": "user", "group": "group", "threads": "threads"}


def from_json(text: str, path: str, chosen: str | None) -> Plan:
    """The settings for one application of the configuration. Raises `Error`."""
    try:
        config = json.loads(text)
    except ValueError as error:
        raise Error(f"migrate: {path} is no JSON: {error}") from None
    if isinstance(config, dict) and isinstance(config.get("config"), dict):
        # The whole of what the control socket has.
        config = config["config"]
    if not isinstance(config, dict) or not isinstance(config.get("applications"), dict):
        raise Error(f"migrate: {path} has no `applications`: is it a configuration of Unit?")
    name = _choose(config["applications"], path, chosen)
    plan = Plan(path)
    _Reader(plan, config, name).read()
    return plan


def _choose(applications: dict[str, Any], path: str, chosen: str | None) -> str:
    python = [
        name
        for name, each in applications.items()
        if isinstance(each, dict) and str(each.get("type", "")).startswith("python")
    ]
    if chosen is not None:
        if chosen not in python:
            raise Error(f"migrate: {path} has no Python application `{chosen}`")
        return chosen
    if not python:
        raise Error(f"migrate: {path} has no application of type python")
    if len(python) > 1:
        names = ", ".join(python)
        raise Error(
            f"migrate: {path} has several applications, and a server has one: "
            f"`--application NAME` with one of {names}",
            2,
        )
    return python[0]


class _Reader:
    def __init__(self, plan: Plan, config: dict[str, Any], name: str) -> None:
        self._plan = plan
        self._config = config
        self._name = name
        self._target = ""
        """The one of its targets that is taken."""
        self._app: dict[str, Any] = config["applications"][name]

    def read(self) -> None:
        self._read_target()
        self._read_listeners()
        self._read_application()
        self._read_http()
        self._read_access_log()
        if "bind" not in self._plan:
            self._note(
                Verdict.DIFFERS, "listeners", "none leads to it; the default is 127.0.0.1:8000"
            )
        if "timeout" not in self._plan:
            self._plan.set("timeout", 0, "no limits.timeout: no limit; here 30 is the default")

    def _note(self, verdict: Verdict, what: str, text: str) -> None:
        self._plan.note(verdict, what, text)

    # The application.

    def _read_target(self) -> None:
        target = self._app
        targets = self._app.get("targets")
        if isinstance(targets, dict) and targets:
            led_to = self._targets()
            first = next((name for name in targets if name in led_to), next(iter(targets)))
            target = {**self._app, **targets[first]}
            self._target = first
            if len(targets) > 1:
                self._note(
                    Verdict.MISSING,
                    "targets",
                    f"one application for each server: {first} is taken, "
                    f"{', '.join(name for name in targets if name != first)} is not",
                )
        if not target.get("module"):
            self._note(Verdict.MISSING, "wsgi_app", "no module is named")
        else:
            spec = f"{target['module']}:{target.get('callable', 'application')}"
            self._plan.set("wsgi_app", f"{spec}()" if target.get("factory") else spec, "module")
        if target.get("protocol") == "asgi":
            self._note(Verdict.MISSING, "protocol", "oxicorn serves WSGI applications, not ASGI")
        path = target.get("path")
        if path:
            paths = [path] if isinstance(path, str) else [str(each) for each in path]
            # The last one comes first here.
            self._plan.set("pythonpath", ",".join(reversed(paths)), "path")
        if target.get("prefix"):
            self._note(
                Verdict.DIFFERS,
                "prefix",
                f"wrap the application: oxicorn.middleware.PublicUrl(app, "
                f"prefix={target['prefix']!r}); or let a proxy send X-Forwarded-Prefix, and set "
                "proxy_x_prefix",
            )

    def _read_application(self) -> None:
        plan, app = self._plan, self._app
        for key, name in _SAME.items():
            if key in app:
                plan.set(name, app[key], key)
        for variable, text in (app.get("environment") or {}).items():
            plan.add("raw_env", f"{variable}={text}", "environment")
        if app.get("home"):
            home = str(app["home"]).rstrip("/")
            plan.program = f"{home}/bin/oxicorn"
            self._note(
                Verdict.DIFFERS,
                "home",
                f"install oxicorn into that environment: {home}/bin/pip install oxicorn; the line "
                "at the top starts it there",
            )
        self._read_processes(app.get("processes"))
        limits = app.get("limits") or {}
        if "timeout" in limits:
            plan.set("timeout", limits["timeout"], "limits.timeout")
            if app.get("threads", 1) != 1:
                text = "with several threads it guards the worker as a whole, not each request"
                self._note(Verdict.DIFFERS, "limits.timeout", text)
        if "requests" in limits:
            plan.set("max_requests", limits["requests"], "limits.requests")
        for key in ("stderr", "stdout"):
            if app.get(key):
                plan.set("errorlog", app[key], key)
                plan.set("capture_output", True, key)
        if "isolation" in app:
            text = "systemd does that: ProtectSystem=, PrivateUsers= and their like"
            self._note(Verdict.MISSING, "isolation", text)
        known = {
            "type", "module", "callable", "factory", "targets", "protocol", "path", "prefix",
            "environment", "home", "processes", "limits", "stdout", "stderr", "isolation", *_SAME,
        }  # fmt: skip
        for key in app.keys() - known:
            self._note(
                Verdict.MISSING, f"applications.{self._name}.{key}", "no equivalent is known"
            )

    def _read_processes(self, processes: Any) -> None:
        if isinstance(processes, int):
            self._plan.set("workers", processes, "processes")
        elif isinstance(processes, dict):
            self._plan.set("workers", processes.get("max", 1), "processes.max")
            text = "the number of workers is fixed; TTIN and TTOU change it while it runs"
            self._note(Verdict.DIFFERS, "processes", text)

    # Where it listens.

    def _read_listeners(self) -> None:
        for address, listener in (self._config.get("listeners") or {}).items():
            if not isinstance(listener, dict) or not self._leads_here(listener):
                continue
            place = f"0.0.0.0{address[1:]}" if address.startswith("*:") else address
            self._plan.add("bind", place, f"listeners {address}")
            if "backlog" in listener:
                self._plan.set("backlog", listener["backlog"], f"listeners {address}")
            if "tls" in listener:
                self._note(
                    Verdict.DIFFERS,
                    f"tls of {address}",
                    "write the bundle to files and set certfile and keyfile, or let a proxy in "
                    "front speak TLS",
                )
            self._read_forwarded(address, listener)

    def _targets(self) -> set[str]:
        """Its targets that listeners lead to."""
        noted = self._plan
        self._plan = Plan("")  # what is on the way is noted once, with the listeners
        found = set()
        for listener in (self._config.get("listeners") or {}).values():
            if isinstance(listener, dict):
                ends = [each.partition("/") for each in self._ends(listener)]
                found |= {target for name, _, target in ends if name == self._name}
        self._plan = noted
        return found

    def _leads_here(self, listener: dict[str, Any]) -> bool:
        here = {self._name, f"{self._name}/{self._target}"}
        return not here.isdisjoint(self._ends(listener))

    def _ends(self, listener: dict[str, Any]) -> list[str]:
        target = listener.get("pass") or f"applications/{listener.get('application', '')}"
        return list(self._follow(str(target), 0))

    def _follow(self, target: str, depth: int) -> Iterator[str]:
        """The applications, with their targets, that a `pass` can end at; what is on the way is
        noted."""
        kind, _, rest = target.partition("/")
        if kind == "applications":
            yield rest
        elif kind == "routes" and depth < 10:
            routes = self._config.get("routes")
            steps = routes.get(rest) if isinstance(routes, dict) else routes
            for step in steps or []:
                if step.get("match"):
                    self._note(
                        Verdict.MISSING,
                        f"routes match {json.dumps(step['match'])}",
                        "conditions belong to a proxy in front or to the application",
                    )
                yield from self._follow_action(step.get("action") or {}, depth)
        elif kind == "upstreams":
            self._note(Verdict.MISSING, target, "let a proxy in front spread requests")

    def _follow_action(self, action: dict[str, Any], depth: int) -> Iterator[str]:
        if "share" in action:
            share = json.dumps(action["share"])
            text = "let a proxy in front serve files, or WhiteNoise"
            self._note(Verdict.MISSING, f"share {share}", text)
        for key in ("return", "proxy", "rewrite", "response_headers"):
            if key in action:
                text = "it belongs to a proxy in front or to the application"
                self._note(Verdict.MISSING, f"{key} {json.dumps(action[key])}", text)
        if "pass" in action:
            yield from self._follow(str(action["pass"]), depth + 1)
        if isinstance(action.get("fallback"), dict):
            yield from self._follow_action(action["fallback"], depth)

    def _read_forwarded(self, address: str, listener: dict[str, Any]) -> None:
        forwarded = listener.get("forwarded")
        if forwarded is None and "client_ip" in listener:
            # How it was written before.
            old = listener["client_ip"]
            forwarded = {**old, "client_ip": old.get("header", "")}
        if not isinstance(forwarded, dict):
            return
        source = forwarded.get("source", [])
        trusted = [source] if isinstance(source, str) else list(source)
        unusual = [each for each in trusted if each.startswith("!") or "-" in each]
        if unusual:
            text = f"networks only, not {', '.join(unusual)}"
            self._note(Verdict.MISSING, f"forwarded.source of {address}", text)
        group: dict[str, Any] = {"trusted": [each for each in trusted if each not in unusual]}
        names: dict[str, str] = {}
        is_recursive = bool(forwarded.get("recursive"))
        for fact, key, field in (
            ("client_ip", "x_for", "X-Forwarded-For"),
            ("protocol", "x_proto", "X-Forwarded-Proto"),
        ):
            if forwarded.get(fact):
                group[key] = "auto" if is_recursive and key == "x_for" else 1
                if forwarded[fact].lower() != field.lower():
                    names["for" if key == "x_for" else "proto"] = forwarded[fact]
        if names:
            group["headers"] = names
        self._plan.set("proxy", group, f"forwarded of {address}")

    # The rest.

    def _read_http(self) -> None:
        settings = self._config.get("settings") or {}
        http = settings.get("http") or {}
        for key, value in http.items():
            what = f"settings.http.{key}"
            if key in _HTTP:
                self._plan.set(_HTTP[key], value, what)
            elif key == "discard_unsafe_fields":
                if value is False:
                    self._plan.set("header_map", "dangerous", what)
            elif key == "server_version":
                if value is False:
                    self._plan.set("server_header", "oxicorn", what)
            elif key == "static":
                text = "let a proxy in front serve files, or WhiteNoise"
                self._note(Verdict.MISSING, what, text)
            elif key == "chunked_transform":
                text = "chunked bodies always come with their length"
                self._note(Verdict.NEEDLESS, what, text)
            else:
                self._note(Verdict.MISSING, what, "no equivalent is known")
        for key in settings.keys() - {"http"}:
            self._note(Verdict.MISSING, f"settings.{key}", "no equivalent is known")
        if "body_read_timeout" in http:
            text = "after that time client_body_rate asks for a rate; Unit limits each pause"
            self._note(Verdict.DIFFERS, "settings.http.body_read_timeout", text)

    def _read_access_log(self) -> None:
        log = self._config.get("access_log")
        if isinstance(log, str):
            self._plan.set("accesslog", log, "access_log")
        elif isinstance(log, dict):
            if log.get("path"):
                self._plan.set("accesslog", log["path"], "access_log")
            if log.get("format"):
                self._read_log_format(log["format"])
            if "if" in log:
                self._note(Verdict.MISSING, "access_log.if", "every request is logged")

    def _read_log_format(self, form: Any) -> None:
        if not isinstance(form, str):
            self._plan.set("log_format", "json", "access_log.format")
            text = "the lines are JSON too, with names of their own (docs/guides/logging.md)"
            self._note(Verdict.DIFFERS, "access_log.format", text)
            return
        translated, missing = translate(form)
        self._plan.set("access_log_format", translated, "access_log.format")
        if missing:
            text = f"{', '.join(missing)}: written as `-`"
            self._note(Verdict.MISSING, "access_log.format", text)
