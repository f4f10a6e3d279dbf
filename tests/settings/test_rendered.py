"""The manual page and the completions, judged by the programs that read them."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

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


ZSH = """
unsetopt beep prompt_cr prompt_sp
PROMPT=
fpath=({folder} $fpath)
autoload -Uz compinit
compinit -u -D
show() {{ print -r -- "<$BUFFER>"; BUFFER= }}
zle -N show
bindkey '^X' show
bindkey '^I' complete-word
print ready
"""


class Zsh:
    """zsh at a terminal, with the completions as it finds them by itself."""

    def __init__(self, folder: Path) -> None:
        program = need("zsh")
        (folder / ".zshrc").write_text(ZSH.format(folder=folder))
        env = {**os.environ, "ZDOTDIR": str(folder), "TERM": "dumb", "HOME": str(folder)}
        self._terminal, other = os.openpty()
        self._process = subprocess.Popen(
            [program, "-d", "-i"],
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
        os.close(other)
        self._said = ""
        self._read_until(r"ready\r?\n")

    def complete(self, line: str) -> tuple[str, str]:
        """What TAB makes of a line, and what is shown meanwhile."""
        self._said = ""
        os.write(self._terminal, f"{line}\t\x18".encode())
        found = self._read_until(r"<(.*)>\r?\n")
        return found[1], self._said[: found.start()]

    def _read_until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + 60
        while (found := re.search(pattern, self._said)) is None:
            readable, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
            assert readable, f"{pattern} is not in {self._said!r}"
            self._said += os.read(self._terminal, 65536).decode()
        return found

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture
def zsh(rendered, tmp_path):
    need("zsh")
    (tmp_path / "_oxicorn").write_text(rendered("--completions", "zsh"))
    for name in ("shop.py", "settings.toml"):
        (tmp_path / name).touch()
    (tmp_path / "static").mkdir()
    shell = Zsh(tmp_path)
    yield shell
    shell.end()


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("oxicorn --worker-cl", "oxicorn --worker-class"),
        ("oxicorn --log-level e", "oxicorn --log-level error"),
        ("oxicorn --log-level=e", "oxicorn --log-level=error"),
        ("oxicorn -k syn", "oxicorn -k sync"),
        ("oxicorn --completions z", "oxicorn --completions zsh"),
        ("oxicorn -c set", "oxicorn -c settings.toml"),
        ("oxicorn --chdir st", "oxicorn --chdir static/"),
        ("oxicorn --reload -w 3 --thr", "oxicorn --reload -w 3 --threads"),
        ("oxicorn --reload sh", "oxicorn --reload shop"),
    ],
)
def test_zsh_completes(zsh, line, completed):
    assert zsh.complete(line)[0].rstrip() in (completed, completed + "=")


def test_zsh_shows_the_choices_with_their_meaning(zsh):
    _, shown = zsh.complete("oxicorn --log-level ")
    assert all(word in shown for word in ("debug", "info", "warning", "error", "critical"))
    _, shown = zsh.complete("oxicorn --worker-c")
    assert "Most connections of one worker at a time" in shown
    assert "not found" not in shown


def test_the_completions_of_zsh_have_no_mistake(rendered, tmp_path):
    zsh = need("zsh")
    script = tmp_path / "_oxicorn"
    script.write_text(rendered("--completions", "zsh"))
    run(zsh, "-f", "-n", str(script))
