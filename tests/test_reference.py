"""The reference pages say what the program does: each line of their tables is looked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
SOURCES = [*ROOT.glob("python/oxicorn/*.py"), *ROOT.glob("crates/*/src/**/*.rs")]


def rows(page):
    lines = (REFERENCE / page).read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] not in ("signal", "code", "level")]


def sources():
    return "\n".join(path.read_text() for path in SOURCES)


@pytest.mark.parametrize("row", rows("log-lines.md"), ids=lambda row: row[1])
def test_log_lines_are_written_by_the_program(row):
    """The fixed parts of a message, in one place of the sources."""
    parts = re.search(r"`(.+)`", row[1])[1].split("…")
    fixed = [re.escape(part) for part in parts if part.strip(" (),.!:'")]
    if row[1].startswith("`Reason: "):
        fixed = [re.escape(parts[0].removeprefix("Reason: "))]
    if "TIMEOUT" in row[1]:
        fixed = [re.escape(parts[0].partition(" (")[0])]
    # What stands between them in the source is a placeholder of one or two lines.
    assert re.search(r"[^\n]*\n?[^\n]*".join(fixed), sources()), row[1]


def test_exit_codes_are_those_of_the_tests():
    """Each code is asserted by a test that runs the program."""
    text = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    for code, _ in (row[:2] for row in rows("exit-codes.md")):
        pattern = rf"returncode == {code}\b|code == {code}\b|\b{code}, \"Reason|, {code}, \""
        assert re.search(pattern, text), code


@pytest.mark.parametrize("row", rows("signals.md"), ids=lambda row: row[0])
def test_signals_are_sent_by_a_test(row):
    text = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    names = row[0].split(", ")
    if names[0] == "HUP" and len(names) > 1:
        return  # see test_worker_shrugs_off_the_masters_signals
    for name in names:
        assert f"SIG{name}" in text, name
