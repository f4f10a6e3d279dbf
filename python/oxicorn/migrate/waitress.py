"""From waitress: the arguments of `waitress-serve`, a call of `serve`, or a PasteDeploy file."""

from __future__ import annotations

import ast
import configparser
import difflib
from typing import Any

from oxicorn.errors import Error
from oxicorn.migrate.plan import Plan, Verdict
from oxicorn.waitress_names import KEYWORDS, REMARKS, translate

__all__ = ["from_command", "from_file", "from_python", "is_call"]

_FLAGS = (
    "ipv4",
    "ipv6",
    "log_socket_errors",
    "expose_tracebacks",
    "asyncore_use_poll",
    "log_untrusted_proxy_headers",
    "clear_untrusted_proxy_headers",
)
# Whose remark matters where the keyword is given.
_TOLD = (
    "channel_timeout",
    "max_request_header_size",
    "unix_socket_perms",
    "url_prefix",
    "url_scheme",
)
_NAMES = tuple(each.keyword for each in KEYWORDS)


def from_command(words: list[str]) -> Plan:
    """What `waitress-serve WORDS` does. Raises `Error`."""
    given: dict[str, Any] = {}
    application, is_factory = "", False
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            if application:
                raise Error(f"migrate: unexpected argument `{word}`; one application at a time", 2)
            application = word
            continue
        option, separator, text = word[2:].partition("=")
        name = option.replace("-", "_")
        if name == "call":
            is_factory = True
        elif name == "app":
            application = text if separator else _next(rest, word)
        elif name.removeprefix("no_") in _FLAGS:
            given[name.removeprefix("no_")] = not name.startswith("no_")
        elif name in _NAMES:
            text = text if separator else _next(rest, word)
            given[name] = f"{given.get(name, '')} {text}".strip() if name == "listen" else text
        else:
            near = difflib.get_close_matches(name, _NAMES, 1)
            hint = f"; did you mean `--{near[0].replace('_', '-')}`?" if near else ""
            raise Error(f"migrate: waitress-serve has no option `{word}`{hint}", 2)
    return _plan("waitress-serve", given, _spec(application, is_factory))


def is_call(text: str) -> bool:
    """Whether there is a call of waitress's `serve` in this Python text."""
    return _find_call(text) is not None


def from_python(text: str, source: str) -> Plan:
    """What `serve(app, …)` in this Python text does. Raises `Error`."""
    call = _find_call(text)
    if call is None:
        raise Error(f"migrate: {source}: no call of serve(app, …)")
    given: dict[str, Any] = {}
    computed: dict[str, str] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            computed[f"**{ast.unparse(keyword.value)}"] = ""
            continue
        try:
            given[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):
            computed[keyword.arg] = ast.unparse(keyword.value)
    plan = _plan(source, given, "")
    for name, expression in computed.items():
        text = f"computed as `{expression}`: write what it gives" if expression else "write it out"
        plan.note(Verdict.MISSING, name, text)
    application = ast.unparse(call.args[0]) if call.args else "app"
    plan.note(
        Verdict.MISSING,
        "wsgi_app",
        f'say where `{application}` is, such as wsgi_app = "module:{application}"; or keep the '
        "program, and call oxicorn.serve: it takes the same keywords",
    )
    return plan


def from_file(path: str, text: str) -> Plan:
    """A Python program, or a PasteDeploy file with a server of waitress. Raises `Error`."""
    if path.endswith(".py"):
        return from_python(text, path)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Error(f"migrate: {path}: {str(error).splitlines()[0]}") from None
    for name in parser.sections():
        section = dict(parser[name])
        if section.pop("use", "").replace(" ", "").startswith("egg:waitress"):
            for default in parser.defaults():
                section.pop(default, None)
            plan = _plan(path, section, "")
            plan.note(
                Verdict.MISSING,
                "wsgi_app",
                "the application is in the same file; a module with `from paste.deploy import "
                f"loadapp; application = loadapp('config:{path}', relative_to='.')` names it",
            )
            return plan
    raise Error(f"migrate: {path} has no [server:…] with `use = egg:waitress#main`")


def _next(rest: list[str], option: str) -> str:
    if not rest:
        raise Error(f"migrate: `{option}` needs a value", 2)
    return rest.pop(0)


def _spec(application: str, is_factory: bool) -> str:
    """`pkg.module.name` is allowed there as well as `pkg.module:name`."""
    if application and ":" not in application:
        application = ":".join(application.rsplit(".", 1))
    return f"{application}()" if application and is_factory else application


def _find_call(text: str) -> ast.Call | None:
    try:
        tree = ast.parse(text.strip())
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("serve", "waitress.serve"):
            return node
    return None


def _plan(source: str, given: dict[str, Any], application: str) -> Plan:
    plan = Plan(source)
    for name in [name for name in given if name not in _NAMES]:
        del given[name]
        plan.note(Verdict.MISSING, name, "waitress has no such keyword")
    places = given.keys() & {"listen", "sockets", "unix_socket"}
    if given.pop("sockets", None) is not None:
        plan.note(Verdict.MISSING, "sockets", 'pass them as descriptors: bind = ["fd://3"]')
    elif not places:
        # `*` is every address of both families there.
        host, port = given.pop("host", "0.0.0.0"), given.pop("port", 8080)
        given["listen"] = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    try:
        meant = translate(given)
    except (TypeError, ValueError) as error:
        raise Error(f"migrate: {source}: {error}") from None
    if application:
        plan.set("wsgi_app", application)
    meant.settings.setdefault("threads", 4)
    # One process without a master's clock.
    meant.settings["timeout"] = 0
    for name, value in meant.settings.items():
        comment = {"timeout": "waitress has no limit; here 30 is the default"}.get(name, "")
        if name == "threads" and "threads" not in given:
            comment = "waitress's default"
        plan.set(name, value, comment)
    for name, reason in meant.no_effect.items():
        plan.note(Verdict.NEEDLESS, name, reason)
    for name in given:
        if name in _TOLD:
            plan.note(Verdict.DIFFERS, name, _remark(name, given[name]))
    return plan


def _remark(name: str, value: object) -> str:
    if name in ("url_scheme", "url_prefix"):
        keyword = name.removeprefix("url_")
        return (
            f"wrap the application: oxicorn.middleware.PublicUrl(app, {keyword}={value!r}); or let "
            f"the proxy say it, and set proxy_x_{'proto' if keyword == 'scheme' else 'prefix'}"
        )
    return REMARKS[name]
