"""Settings files: where they are found, how they run, and what is said about mistakes in them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support import eventually
from support.server import TESTS


@pytest.fixture
def shown(oxicorn, tmp_path: Path):
    """Runs --print-config on a trivial application: the values by name, and standard error."""
    (tmp_path / "shop.py").write_text("app = print\n")

    def run(*options: str, **kwargs) -> tuple[dict[str, str], str]:
        done = oxicorn("--print-config", *options, "shop:app", **kwargs)
        assert done.returncode == 0, done.stderr
        pairs = (line.split(" = ", 1) for line in done.stdout.splitlines())
        return {name.strip(): value.split("   # ")[0] for name, value in pairs}, done.stderr

    return run


def test_our_own_file_wins_over_gunicorns_and_says_so(shown, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\n")
    values, stderr = shown()
    assert (values["workers"], stderr) == ("2", "")
    (tmp_path / "oxicorn.conf.py").write_text("workers = 3\n")
    values, stderr = shown()
    assert values["workers"] == "3"
    assert stderr == (
        "Warning: oxicorn.conf.py is used, gunicorn.conf.py is not read: both are here\n"
    )


def test_a_file_is_named_by_path_or_module(shown, tmp_path):
    (tmp_path / "deployment.py").write_text("workers = 4\n")
    for location in ("deployment.py", "./deployment.py", "file:deployment.py", "python:deployment"):
        values, stderr = shown("-c", location)
        assert (values["workers"], stderr) == ("4", ""), location
    values, _ = shown(env={"OXICORN_CONFIG": "deployment.py"})
    assert values["workers"] == "4"


def test_a_file_is_a_program(shown, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text(
        "import multiprocessing, os\n"
        "from os import path\n"
        "import __config__\n"
        "cores = 2\n"
        "workers = cores * 2 + 1\n"
        "if True:\n"
        "    bind = ['127.0.0.1:5001', 'unix:a.sock']\n"
        "def worker_age(x): return x\n"
        "assert __file__.endswith('gunicorn.conf.py') and __name__ == '__config__'\n"
        "secure_scheme_headers = {'X-FORWARDED-PROTOCOL': 'ssl', 'X-FORWARDED-PROTO': 'https',\n"
        "    'X-FORWARDED-SSL': 'on'}\n"
        "umask = 0o022\n"
        "graceful_timeout = 2.5\n"
    )
    values, stderr = shown()
    assert values["workers"] == "5"
    assert values["bind"] == "['127.0.0.1:5001', 'unix:a.sock']"
    assert values["umask"] == "18"
    assert values["graceful_timeout"] == "2.5"
    assert stderr == ""


def test_names_that_are_almost_settings_are_warned_about(shown, tmp_path):
    (tmp_path / "oxicorn.conf.py").write_text("wokers = 2\ncores = 1\nWORKER = 1\n_worker = 1\n")
    _, stderr = shown()
    assert stderr == (
        "Warning: unknown setting `wokers` (oxicorn.conf.py:1); did you mean `workers`?\n"
    )


def test_a_file_of_others_is_warned_about(shown, tmp_path):
    (tmp_path / "oxicorn.conf.py").write_text("")
    (tmp_path / "oxicorn.conf.py").chmod(0o664)
    _, stderr = shown()
    assert stderr == (
        "Warning: settings file oxicorn.conf.py can be written by others than its owner\n"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("timeout = '30s'", "timeout: expected seconds, got `30s` (oxicorn.conf.py:1)"),
        ("\nworkers = 2.5", "workers: expected a whole number that is not negative, got `2.5` "),
        ("bind = 8000", "bind: expected an address or a list of addresses, got `8000` "),
        ("dirty_apps = ['a']", "dirty_apps: not supported by this version of oxicorn; "),
        ("def post_fork(server): pass", "post_fork: expected a function of (server, worker), "),
        ("post_fork = 'nowhere.hook'", "post_fork: expected a function of (server, worker), "),
    ],
)
def test_a_wrong_value_is_told_with_its_line(oxicorn, tmp_path, source, text):
    (tmp_path / "oxicorn.conf.py").write_text(source + "\n")
    done = oxicorn("shop:app")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {text}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("source", ["workers = = 2", "raise ValueError('boom')", "import nowhere"])
def test_a_file_that_fails_shows_its_own_traceback_only(oxicorn, tmp_path, source):
    (tmp_path / "oxicorn.conf.py").write_text(source + "\n")
    done = oxicorn("shop:app")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: settings file oxicorn.conf.py failed: ")
    assert 'File "oxicorn.conf.py", line 1' in done.stderr
    assert "oxicorn/config_file.py" not in done.stderr


DEFAULTS = {
    "oxicorn.conf.py": "workers = 2\n",
    "oxicorn.toml": "workers = 3\n",
    "gunicorn.conf.py": "workers = 4\n",
    "pyproject.toml": "[project]\nname = 'shop'\n\n[tool.oxicorn]\nworkers = 5\n",
}


def test_the_first_of_the_default_files_is_read(shown, tmp_path):
    for name, text in DEFAULTS.items():
        (tmp_path / name).write_text(text)
    names = list(DEFAULTS)
    for workers, name in enumerate(names, 2):
        values, stderr = shown()
        assert values["workers"] == str(workers)
        others = names[names.index(name) + 1 :]
        assert stderr.splitlines() == [
            f"Warning: {name} is used, {other} is not read: both are here" for other in others
        ]
        (tmp_path / name).unlink()
    assert shown()[0]["workers"] == "1"


def test_a_file_that_is_named_is_the_only_one(shown, tmp_path):
    (tmp_path / "oxicorn.toml").write_text("workers = 3\nthreads = 3\n")
    (tmp_path / "other.toml").write_text("workers = 6\n")
    values, stderr = shown("-c", "other.toml")
    assert (values["workers"], values["threads"], stderr) == ("6", "1", "")
    values, _ = shown(env={"GUNICORN_CMD_ARGS": "-c other.toml"})
    assert (values["workers"], values["threads"]) == ("6", "1")


@pytest.mark.parametrize("text", ["[project]\nname = 'oxicorn'\n", "[tool.oxi\n", "\xff"])
def test_a_pyproject_that_is_not_about_us_is_left_alone(shown, tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text, "latin-1")
    values, stderr = shown()
    assert (values["workers"], stderr) == ("1", "")


def test_every_unknown_name_in_toml_is_warned_about(shown, tmp_path):
    (tmp_path / "oxicorn.toml").write_text("wokers = 2\n\n[elsewhere]\nx = 1\n")
    _, stderr = shown()
    assert sorted(stderr.splitlines()) == [
        "Warning: unknown setting `elsewhere` (oxicorn.toml:3); it has no effect",
        "Warning: unknown setting `wokers` (oxicorn.toml:1); did you mean `workers`?",
    ]


def test_hooks_in_toml_are_named(serve, dial, tmp_path):
    (tmp_path / "oxicorn.toml").write_text("when_ready = 'deploy.hooks.ready'\n")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "hooks.py").write_text(
        "def ready(server):\n    server.log.info('the hook ran')\n"
    )
    server = serve("hello", cwd=tmp_path, env={"PYTHONPATH": f"{tmp_path}:{TESTS}"})
    assert "the hook ran" in server.log()


def test_a_reload_reads_the_file_where_the_server_was_started(serve, tmp_path):
    """Also when the file itself changes the directory."""
    (tmp_path / "site").mkdir()
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\nassert os.path.exists('here')\nchdir = 'site'\nworkers = 1\n"
    )
    (tmp_path / "here").touch()
    server = serve("hello", cwd=tmp_path, workers=1)
    text = (tmp_path / "gunicorn.conf.py").read_text()
    (tmp_path / "gunicorn.conf.py").write_text(text + "proc_name = 'renamed'\nthreads = 2\n")
    first = server.workers()
    server.signal(signal.SIGHUP)
    eventually(lambda: len(server.workers()) == 1 and server.workers() != first)
    assert "Reload failed" not in server.log()
