"""What the command says, and with which code it ends, when it does not serve."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [])
    return []

def create(name, debug=False):
    assert (name, debug) == ("shop", True)
    return app

class Site:
    wsgi = staticmethod(app)

site = Site()
nothing = None
number = 7

def broken():
    raise ValueError("no database")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with a module `shop` in it."""
    (tmp_path / "shop.py").write_text(HELLO)
    return tmp_path


def complaint(done, code: int) -> str:
    """The only line on standard error, without its prefix."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


def test_help_and_version_go_to_standard_output(oxicorn):
    done = oxicorn("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: oxicorn [options] [module:app]\n")
    assert "-w, --workers N" in done.stdout
    done = oxicorn("-v")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("oxicorn (version ")


def test_without_an_application_there_is_one_helpful_line(oxicorn):
    assert complaint(oxicorn(), 1) == "no application given: oxicorn [options] module:app"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--wokers", "2"], "unknown option `--wokers`; did you mean `--workers`?"),
        (["-w"], "option `-w` needs a value: -w N"),
        (["-w", "two"], "workers: expected a whole number that is not negative, got `two` (-w)"),
        (["-b", "a:b"], "bind: expected a port number after the host, got `a:b` (-b)"),
        (["--protocol", "uwsgi"], "protocol: not supported by this version of oxicorn; "),
        (["-k", "meinheld"], "worker_class: expected `sync`, `gthread`, `gevent`, "),
        (["extra"], "unexpected argument `extra`; usage: oxicorn [options] module:app"),
    ],
)
def test_a_wrong_command_line_ends_with_2(oxicorn, options, text):
    assert complaint(oxicorn("shop:app", *options), 2).startswith(text)


@pytest.mark.parametrize(
    "spec",
    ["shop", "shop:app", "shop:site.wsgi", "shop:create('shop', debug=True)"],
)
def test_check_config_loads_every_form_of_application(oxicorn, shop, spec):
    done = oxicorn("--check-config", spec)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("myproj:app", "cannot import 'myproj' (No module named 'myproj'); current directory is "),
        ("shop.py", "'shop.py' is a file, not the name of a module; try `oxicorn shop:app`"),
        (
            "./shop.py:app",
            "'./shop.py' is a file, not the name of a module; try `oxicorn shop:app`",
        ),
        (":app", "':app' names no module"),
        ("shop:apq", "module 'shop' has no attribute 'apq'; did you mean `app`?"),
        ("shop:zzz", "module 'shop' has no attribute 'zzz'; its callables are: app, create"),
        ("shop:site.other", "'site' has no attribute 'other'"),
        ("shop:nothing", "the application 'shop:nothing' is None"),
        ("shop:number", "the application 'shop:number' is of type 'int', which is not callable"),
        ("shop:number()", "'number' cannot be called; leave out the parentheses"),
        ("shop:create(name)", "the arguments of 'create' must be plain values"),
        ("shop:app or 1", "'app or 1' is neither a name nor a call such as"),
        ("shop:app(", "'app(' is neither a name nor a call such as"),
    ],
)
def test_a_wrong_application_is_told_in_one_line(oxicorn, shop, spec, text):
    assert complaint(oxicorn("--check-config", spec), 1).startswith(text)


def test_an_error_in_the_applications_module_shows_its_traceback(oxicorn, tmp_path):
    (tmp_path / "shop.py").write_text("import missing_module\n")
    done = oxicorn("--check-config", "shop:app")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert "shop.py" in done.stderr.splitlines()[1]
    assert done.stderr.splitlines()[-1] == (
        "Error: cannot import 'shop' (ModuleNotFoundError: No module named 'missing_module')"
    )


def test_an_error_in_a_factory_shows_its_traceback(oxicorn, shop):
    done = oxicorn("--check-config", "shop:broken()")
    assert done.returncode == 1
    assert 'raise ValueError("no database")' in done.stderr
    assert done.stderr.splitlines()[-1] == "Error: 'broken' failed (ValueError: no database)"


def test_print_config_shows_each_value_with_its_origin(oxicorn, shop):
    (shop / "oxicorn.conf.py").write_text("# first line\ntimeout = 7\n")
    done = oxicorn("--print-config", "-w3", "shop:app", env={"OXICORN_THREADS": "5"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "workers = 3 # -w" in lines
    assert "threads = 5 # $OXICORN_THREADS" in lines
    assert "timeout = 7 # oxicorn.conf.py:2" in lines
    assert "keepalive = 75 # default" in lines


def test_the_application_may_stand_in_the_file(oxicorn, shop):
    (shop / "gunicorn.conf.py").write_text("wsgi_app = 'shop:app'\n")
    assert oxicorn("--check-config").returncode == 0


def test_pythonpath_environment_and_directory_come_before_the_application(oxicorn, tmp_path):
    for name in ("lib", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "lib" / "helper.py").write_text("")
    (tmp_path / "site" / "shop.py").write_text(
        "import os, helper\n"
        "assert os.environ['MODE'] == 'a=b'\n"
        "assert os.path.basename(os.getcwd()) == 'site'\n"
        "app = print\n"
    )
    lib = str(tmp_path / "lib")
    options = ["--chdir", "site", "--pythonpath", lib, "-e", "MODE=a=b", "shop"]
    done = oxicorn("--check-config", *options)
    assert (done.returncode, done.stderr) == (0, "")
    text = complaint(oxicorn("--chdir", "nowhere", "shop"), 1)
    assert text == "chdir: cannot change to `nowhere`: No such file or directory (--chdir)"
    assert complaint(oxicorn("-e", "MODE", "shop"), 1).startswith("raw_env: expected NAME=TEXT")


def test_an_unreadable_file_is_told_in_one_line(oxicorn, tmp_path):
    text = complaint(oxicorn("-c", "nowhere.py", "shop:app"), 1)
    assert text.startswith("cannot read settings file nowhere.py: No such file or directory; ")
    secret = tmp_path / "secret.py"
    secret.write_text("")
    secret.chmod(stat.S_IWUSR)
    if os.geteuid() != 0:
        text = complaint(oxicorn("-c", str(secret), "shop:app"), 1)
        assert "Permission denied" in text
