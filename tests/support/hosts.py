"""The hosts of the engine, under which its own tests run again, and with how many of their cases.

All that is said about a host that differs, and all that is left out, is said here.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SUITES = ("wire/", "wsgi/")
"""Folders of the tests that run under every host."""


@dataclass(frozen=True)
class Host:
    """What runs the engine's turns and calls, as options of the command line."""

    name: str
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    package: str = ""
    """What has to be installed."""

    def complete(self, options: Sequence[str]) -> list[str]:
        """The options of a server under this host; those of a test win."""
        return [*self.options, *options]

    @property
    def is_foreign(self) -> bool:
        """Whether it is a library's loop; here all of these run several calls at a time."""
        return bool(self.package)

    @property
    def is_there(self) -> bool:
        """Whether it can be used on this machine."""
        return not self.package or importlib.util.find_spec(self.package) is not None


NATIVE = Host("native")
HOSTS = (
    NATIVE,
    Host("gevent-libev", ("-k", "gevent"), {"GEVENT_LOOP": "libev-cext"}, "gevent"),
    Host("gevent-libuv", ("-k", "gevent"), {"GEVENT_LOOP": "libuv-cffi"}, "gevent"),
    Host("tornado", ("-k", "tornado", "--threads", "4"), {}, "tornado"),
    Host("eventlet", ("-k", "eventlet"), {}, "eventlet"),
)

CASES: Mapping[str, int] = {
    # Bytes in, bytes out: what differs between these is decided before a host comes in.
    "wire/test_corpus.py": 10,
    "wire/test_limits.py": 4,
    "wire/test_leniency.py": 1,
    "wsgi/test_environ.py": 3,
    "wsgi/test_failures.py::test_bad_status": 4,
    "wsgi/test_response.py::test_files": 6,
    # Each is a body in memory, in a file, or on its way, with one way to read it.
    "wsgi/test_input.py::test_same_as_a_file": 16,
    "wsgi/test_input.py::test_no_body": 4,
}
"""How many cases of each of these tests run on a foreign loop; all of any other one."""

ELSEWHERE: Mapping[str, str] = {
    "wsgi/test_script_name.py": "the prefix is cut off before a host sees the application",
}
"""Tests that do not depend on the host."""


def runs_again(nodeid: str) -> bool:
    """Whether a test is one of those that run under every host."""
    path = nodeid.removeprefix("tests/")
    return path.startswith(SUITES) and not any(path.startswith(name) for name in ELSEWHERE)


def left_out(nodeids: Iterable[str]) -> set[str]:
    """Those of the cases of one test, on one foreign loop, that need not run; in order."""
    ordered = list(nodeids)
    name = ordered[0].removeprefix("tests/")
    most = next((most for test, most in CASES.items() if name.startswith(test)), len(ordered))
    if most >= len(ordered):
        return set()
    # Always the same ones, and from all over a product of parameters.
    return set(ordered) - set(random.Random(most).sample(ordered, most))
