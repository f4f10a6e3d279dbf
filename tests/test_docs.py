"""What the documents say about the tree must be so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("corpus/*.md")]
ROW = re.compile(r"^\| R(\d+) \| (.+?) \|(.*)\|$", re.MULTILINE)


def requirements() -> dict[int, list[str]]:
    """The tests named for each requirement."""
    text = (ROOT / "docs/requirements.md").read_text()
    named = re.compile(r"`([^`]+::\w+|corpus/[^`]+)`")
    return {int(m[1]): named.findall(m[3]) for m in ROW.finditer(text)}


def test_every_requirement_has_its_row():
    assert sorted(requirements()) == [*range(1, 138)]


def test_every_requirement_names_a_test():
    untested = {number for number, names in requirements().items() if not names}
    assert untested == set()


def test_every_test_that_is_named_exists():
    missing = []
    for number, names in requirements().items():
        for name in names:
            path, _, test = name.partition("::")
            if name.startswith("corpus/"):
                exists = (ROOT / f"{name}.http").is_file()
            else:
                source = (ROOT / path).read_text() if (ROOT / path).is_file() else ""
                exists = re.search(rf"\b(def|fn) {re.escape(test)}\(", source) is not None
            if not exists:
                missing.append(f"R{number}: {name}")
    assert missing == []


def test_links_between_documents_lead_somewhere():
    broken = []
    for document in OURS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_guides_have_the_tables_of_migrate():
    command = [sys.executable, str(ROOT / "scripts/migration-tables"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
