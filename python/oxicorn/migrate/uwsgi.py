"""From a file of uWSGI's options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from oxicorn.errors import Error
from oxicorn.migrate.plan import Plan, Verdict, default
from oxicorn.migrate.uwsgi_files import read
from oxicorn.migrate.uwsgi_option import Option
from oxicorn.migrate.uwsgi_options import find

__all__ = ["from_file"]

_REQUEST_LINE = "%(r)s"

# What stands for what in a line of the access log.
_ATOMS = {
    "addr": "%(h)s",
    "host": "%({host}i)s",
    "ltime": "%(t)s",
    "ctime": "%(t)s",
    "method": "%(m)s",
    "micros": "%(D)s",
    "msecs": "%(M)s",
    "pid": "%(p)s",
    "proto": "%(H)s",
    "referer": "%(f)s",
    "rsize": "%(b)s",
    "secs": "%(T)s",
    "size": "%(b)s",
    "status": "%(s)s",
    "uagent": "%(a)s",
    "uri": "%(U)s",
    "user": "%(u)s",
    "vars.HTTP_HOST": "%({host}i)s",
}


def from_file(path: str, form: str, section: str, environ: Mapping[str, str]) -> Plan:
    """The settings that do what this file did, which is `ini`, `xml`, `yaml` or `json`.

    Raises `Error` if it cannot be read.
    """
    plan = Plan(path)
    draft = _Draft(plan)
    for option in read(path, form, section, environ):
        if option.unknown:
            what = ", ".join(option.unknown)
            plan.note(
                Verdict.DIFFERS,
                f"{option.name} ({option.origin})",
                f"{what} is not known here, and was left as it is",
            )
        if option.variables:
            what = ", ".join(option.variables)
            text = f"{what} of the environment: what it holds now is written here"
            plan.note(Verdict.DIFFERS, f"{option.name} ({option.origin})", text)
        if option.decision:
            plan.note(Verdict.DIFFERS, f"{option.name} ({option.origin})", option.decision)
        else:
            draft.take(option)
    draft.finish()
    return plan


class _Draft:
    """What is known so far; an option may need others to be understood."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._module = ""
        self._module_origin = ""
        self._callable = ""
        self._paths: list[str] = []
        self._mounts: list[Option] = []
        self._protocol = "uwsgi"
        self._sockets: list[Option] = []
        self._is_quiet = False
        self._is_lazy = False
        self._has_log = False

    def take(self, option: Option) -> None:
        """One option, in the order of the file."""
        row = find(option.name)
        what = f"{option.name} ({option.origin})"
        if row is None:
            self._plan.note(Verdict.MISSING, what, "not known to this command; see uWSGI's manual")
            return
        self._is_lazy |= option.name in ("lazy", "lazy-apps") and option.is_on
        if row.is_flag and option.value.lower() in ("false", "no", "0", "off"):
            return
        try:
            if row.value is not None:
                self._set(row.setting, row.value(option.value), option)
            elif row.verdict is None:
                getattr(self, _method(row.names[0]))(option)
        except ValueError:
            problem = f"expected a number, got `{option.value}`"
            self._plan.note(Verdict.MISSING, what, problem)
            return
        if row.verdict is not None and row.remark:
            self._plan.note(row.verdict, what, row.remark)

    def finish(self) -> None:
        """What takes several options together, and what uWSGI does by default."""
        plan = self._plan
        self._name_application()
        for option in self._sockets:
            self._add_socket(option)
        if "bind" not in plan:
            plan.note(
                Verdict.DIFFERS, "bind", "the file names no address; the default is 127.0.0.1:8000"
            )
        plain = [each for each in self._sockets if "https" not in each.name]
        if "certfile" in plan and plain:
            names = ", ".join(f"{each.name} ({each.origin})" for each in plain)
            plan.note(
                Verdict.DIFFERS,
                names,
                "with `certfile` every address speaks TLS, so this one does too; start a second "
                "oxicorn for it, or let a proxy redirect there",
            )
        if self._paths:
            plan.set("pythonpath", ",".join(self._paths))
        if "timeout" not in plan:
            plan.set("timeout", 0, "no harakiri: no limit; here 30 is the default")
        if not self._is_quiet and "accesslog" not in plan:
            plan.set("accesslog", "-", "uWSGI logs requests by default")
        if not self._is_lazy:
            plan.note(
                Verdict.DIFFERS,
                "lazy-apps is off",
                "uWSGI loads the application once, before it forks; here each worker does. "
                "`preload_app = true` shares memory as before, but then HUP brings no new code",
            )
        if "threads" in plan and plan["threads"] > 1 and plan["timeout"]:
            plan.note(
                Verdict.DIFFERS,
                "harakiri",
                "with several threads `timeout` guards the worker as a whole, not each request",
            )

    def _set(self, name: str, value: object, option: Option) -> None:
        self._plan.set(name, value, f"{option.origin} {option.name}")

    # The application.

    def _module_(self, option: Option) -> None:
        self._module, self._module_origin = option.value, f"{option.origin} {option.name}"

    def _wsgi_file(self, option: Option) -> None:
        path = Path(option.value)
        module = path.stem
        if path.is_absolute():
            self._paths.insert(0, str(path.parent))
        else:
            module = ".".join([*(part for part in path.parent.parts if part != "."), path.stem])
        self._module, self._module_origin = module, f"{option.origin} {option.name}"

    def _callable_(self, option: Option) -> None:
        self._callable = option.value

    def _mount(self, option: Option) -> None:
        self._mounts.append(option)

    def _pythonpath(self, option: Option) -> None:
        self._paths.append(option.value)

    def _home(self, option: Option) -> None:
        self._plan.program = f"{option.value.rstrip('/')}/bin/oxicorn"
        self._plan.note(
            Verdict.DIFFERS,
            f"{option.name} ({option.origin})",
            f"install oxicorn into that environment: {option.value.rstrip('/')}/bin/pip install "
            "oxicorn; the line at the top starts it there",
        )

    def _env(self, option: Option) -> None:
        self._plan.add("raw_env", option.value, f"{option.origin} {option.name}")

    def _name_application(self) -> None:
        plan = self._plan
        if not self._module and len(self._mounts) == 1:
            prefix, _, target = self._mounts[0].value.partition("=")
            self._module = re.sub(r"\.py$", "", target).replace("/", ".")
            self._module_origin = f"{self._mounts[0].origin} mount"
            if prefix not in ("", "/"):
                plan.note(
                    Verdict.DIFFERS,
                    f"mount ({self._mounts[0].origin})",
                    f"wrap the application: oxicorn.middleware.PublicUrl(app, prefix={prefix!r}); "
                    "or let the proxy send X-Forwarded-Prefix, and set proxy_x_prefix",
                )
        elif self._mounts:
            plan.note(
                Verdict.MISSING,
                f"mount ({self._mounts[0].origin})",
                "one application for each server; join them in Python, as with "
                "werkzeug.middleware.dispatcher.DispatcherMiddleware, or start one for each",
            )
        if not self._module:
            plan.note(
                Verdict.MISSING, "wsgi_app", "no module is named; give it on the command line"
            )
            return
        spec = self._module
        if ":" not in spec:
            spec = f"{spec}:{self._callable or 'application'}"
        plan.set("wsgi_app", spec, self._module_origin)

    # Where it listens.

    def _http(self, option: Option) -> None:
        self._sockets.append(option)

    def _socket(self, option: Option) -> None:
        self._sockets.append(option)

    def _https(self, option: Option) -> None:
        address, *files = option.value.split(",")
        self._sockets.append(option._replace(value=address))
        for name, file in zip(("certfile", "keyfile", "ciphers", "ca_certs"), files, strict=False):
            if file:
                self._set(name, file, option)

    def _protocol_(self, option: Option) -> None:
        self._protocol = option.value
        if option.value not in ("http", "http11", "uwsgi"):
            what = f"{option.name} ({option.origin})"
            self._plan.note(Verdict.MISSING, what, "HTTP is the only protocol")

    def _add_socket(self, option: Option) -> None:
        what = f"{option.name} ({option.origin})"
        if option.value.startswith("="):
            advice = "name the address in `bind`, or pass the socket as fd://N"
            self._plan.note(Verdict.MISSING, what, advice)
            return
        address = _address(option.value)
        self._plan.add("bind", address, f"{option.origin} {option.name}")
        if option.name in ("socket", "uwsgi-socket", "s") and self._protocol == "uwsgi":
            where = address if address.startswith("unix:") else f"//{address}".lstrip("/")
            self._plan.note(
                Verdict.DIFFERS,
                what,
                "oxicorn speaks HTTP there, not the uwsgi protocol. In nginx: `proxy_pass "
                f"http://{where};` in place of uwsgi_pass and uwsgi_params, with proxy_set_header "
                "Host $http_host, X-Forwarded-For $proxy_add_x_forwarded_for and "
                'X-Forwarded-Proto $scheme; then here proxy_preset = "nginx-local" and '
                "proxy_x_proto = 1 (docs/guides/behind-a-proxy.md)",
            )

    def _reuse_port(self, option: Option) -> None:
        if option.is_on:
            self._set("reuse_port", True, option)

    def _chmod_socket(self, option: Option) -> None:
        mode = 0o666 if option.value in ("", "true") else int(option.value, 8)
        self._set("umask", 0o777 & ~mode & ~0o111, option)

    # Processes.

    def _threads(self, option: Option) -> None:
        self._set("threads", option.value, option)

    def _harakiri(self, option: Option) -> None:
        self._set("timeout", option.value, option)

    def _gevent(self, option: Option) -> None:
        self._set("worker_class", "gevent", option)
        self._set("worker_connections", option.value, option)

    def _daemonize(self, option: Option) -> None:
        self._set("daemon", True, option)
        self._logto(option)

    def _py_autoreload(self, option: Option) -> None:
        if option.value != "0":
            self._set("reload", True, option)

    # Requests.

    def _buffer_size(self, option: Option) -> None:
        what = f"{option.name} ({option.origin})"
        size = default("limit_request_field_size")
        if int(option.value) > size:
            self._set("limit_request_field_size", option.value, option)
            self._set("limit_request_line", option.value, option)
        else:
            text = f"the request line and each field may have {size} bytes"
            self._plan.note(Verdict.NEEDLESS, what, text)

    def _post_buffering(self, option: Option) -> None:
        what = f"{option.name} ({option.origin})"
        size = default("body_memory")
        if int(option.value) > size:
            self._set("body_memory", option.value, option)
        else:
            text = f"bodies are always buffered, up to {size} bytes of each in memory"
            self._plan.note(Verdict.NEEDLESS, what, text)

    # Logs.

    def _logto(self, option: Option) -> None:
        self._set("errorlog", option.value, option)
        if not self._is_quiet:
            self._set("accesslog", option.value, option)

    def _logger(self, option: Option) -> None:
        kind, _, path = option.value.partition(":")
        name = "accesslog" if option.name == "req-logger" else "errorlog"
        if kind == "file" and path:
            self._set(name, path, option)
        elif kind == "stdio":
            self._set(name, "-", option)
        else:
            what = f"{option.name} ({option.origin})"
            self._plan.note(Verdict.MISSING, what, f"`{kind}` is no place for {name}")

    def _disable_logging(self, option: Option) -> None:
        self._is_quiet = option.is_on

    def _log_x_forwarded_for(self, option: Option) -> None:
        self._plan.note(
            Verdict.DIFFERS,
            f"{option.name} ({option.origin})",
            "say which proxies are believed: proxy_trusted and proxy_x_for = 1; then log and "
            "application see the client (docs/guides/behind-a-proxy.md)",
        )

    def _log_format(self, option: Option) -> None:
        unknown: list[str] = []

        def atom(match: re.Match[str]) -> str:
            name = match[1]
            if name in _ATOMS:
                return _ATOMS[name]
            if name.startswith("var.HTTP_"):
                field = name.removeprefix("var.HTTP_").replace("_", "-").lower()
                return f"%({{{field}}}i)s"
            unknown.append(name)
            return "-"

        text = option.value.strip("'\"") if option.value[:1] == option.value[-1:] else option.value
        text = text.replace("%(method) %(uri) %(proto)", _REQUEST_LINE)
        text = re.sub(r"%\(([^)]+)\)(?!s)", atom, text)
        # The brackets are part of the atom.
        self._set("access_log_format", text.replace("[%(t)s]", "%(t)s"), option)
        if unknown:
            what = f"{option.name} ({option.origin})"
            self._plan.note(Verdict.MISSING, what, f"{', '.join(unknown)}: written as `-`")


def _method(name: str) -> str:
    method = f"_{name.replace('-', '_')}"
    return f"{method}_" if method in ("_module", "_callable", "_protocol") else method


def _address(text: str) -> str:
    """As `bind` takes it."""
    if text.startswith("@"):
        return f"unix:{text}"
    if "/" in text and "://" not in text:
        return f"unix:{text.removeprefix('unix:')}"
    if text.startswith(":"):
        return f"0.0.0.0{text}"
    if text.isdigit():
        raise Error(f"migrate: expected an address, got `{text}`")
    return text
