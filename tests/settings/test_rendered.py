"""The manual page and the completions, judged by the programs that read them."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian has it)")
    return path


def run(*args: str, text: str | None = None, cwd=None) -> str:
    """What a program prints; it must be content, and say nothing else."""
    options = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        args, capture_output=True, text=True, timeout=60, cwd=cwd, check=False, **options
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rendered(oxicorn):
    """What a command prints."""

    def render(*args: str) -> str:
        done = oxicorn(*args)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return render


def test_the_manual_page_is_set_without_complaint(rendered):
    groff = need("groff")
    page = rendered("--man")
    shown = run(groff, "-ww", "-man", "-Tascii", "-P-cbou", text=page)
    for word in ("OXICORN(1)", "-w, --workers N", "post_fork(server, worker)", "EXIT STATUS"):
        assert word in shown


def test_the_manual_page_is_right_for_mandoc(rendered):
    run(need("mandoc"), "-Tlint", "-Werror", text=rendered("--man"))


def test_an_unknown_shell_is_told(oxicorn):
    done = oxicorn("--completions", "tcsh")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: completions: expected bash, zsh or fish, got `tcsh` (--completions)\n"
    )
    done = oxicorn("--completions")
    assert done.returncode == 2
    assert done.stderr == "Error: option `--completions` needs a value: --completions SHELL\n"


PERFORM = """
source ./completions
complete -p oxicorn >/dev/null
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_oxicorn
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(rendered, tmp_path):
    """Completes the last of some words in bash, in a directory with a few files."""
    (tmp_path / "completions").write_text(rendered("--completions", "bash"))
    for name in ("shop.py", "shop data.toml", "sheets.py"):
        (tmp_path / name).touch()
    (tmp_path / "static").mkdir()
    program = need("bash")
    run(program, "-n", "completions", cwd=tmp_path)

    def complete(*words: str) -> list[str]:
        command = [program, "--norc", "-c", PERFORM, "bash", "oxicorn", *words]
        return run(*command, cwd=tmp_path).split("\n")[:-1]

    return complete


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--work"], ["--workers", "--worker-class", "--worker-handoff", "--worker-connections"]),
        (["--log-level", "e"], ["error"]),
        (["--log-level", "=", "e"], ["error"]),
        (["-k", "s"], ["sync"]),
        (["-w", ""], [""]),
        (["-c", "shop"], ["shop.py", "shop data.toml"]),
        (["--chdir", "s"], ["static"]),
        (["--reload", "sh"], ["shop", "sheets"]),
        (["--completions", ""], ["bash", "fish", "zsh"]),
        (["--nothing-like-it"], [""]),
    ],
)
def test_bash_completes(bash, words, expected):
    assert sorted(bash(*words)) == sorted(expected)


def test_fish_completes(rendered, tmp_path):
    fish = need("fish")
    script = tmp_path / "oxicorn.fish"
    script.write_text(rendered("--completions", "fish"))
    (tmp_path / "shop.py").touch()

    def complete(line: str) -> list[str]:
        command = f"source {script}; complete -C '{line}'"
        lines = run(fish, "--private", "--no-config", "-c", command, cwd=tmp_path).splitlines()
        return [each.split("\t")[0] for each in lines]

    run(fish, "--no-config", "-n", str(script))
    assert complete("oxicorn --worker-cl") == ["--worker-class"]
    assert complete("oxicorn --log-level e") == ["error"]
    assert "shop" in complete("oxicorn ")


def test_zsh_reads_its_completions(rendered, tmp_path):
    zsh = need("zsh")
    script = tmp_path / "_oxicorn"
    script.write_text(rendered("--completions", "zsh"))
    run(zsh, "-f", "-n", str(script))
    # The rest of the machinery wants a terminal; what can be asked is whether it finds the file.
    command = (
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[oxicorn]"
    )
    assert run(zsh, "-f", "-c", command) == "_oxicorn\n"
