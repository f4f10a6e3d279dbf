"""docs/reference/log-lines.md: what it says is what the server says."""

from __future__ import annotations

import re
import signal

from support import eventually
from support.server import TESTS

PAGE = TESTS.parent / "docs" / "reference" / "log-lines.md"
ROW = re.compile(r"\| (DEBUG|INFO|WARNING|ERROR|CRITICAL) \| `([^`]+)` \|")
LINE = re.compile(r"\[[^]]+\] \[\d+\] \[(\w+)\] (.*)")
ROWS = [(row[1], row[2]) for row in map(ROW.match, PAGE.read_text().splitlines()) if row]
# Rows whose level is another one in the cases that their text tells.
ALSO = {
    "Shutting down: Master": {"ERROR"},
    "Worker (pid:…) exited with code ….": {"INFO"},
    "In worker (pid:…) for … s: … client=…": {"ERROR", "INFO"},
}


def unknown(log: str) -> list[str]:
    """The lines that are in no row with their level."""
    found = []
    for line in log.splitlines():
        said = LINE.fullmatch(line)
        if said is not None and not any(fits(row, said[1], said[2]) for row in ROWS):
            found.append(line)
    return found


def fits(row: tuple[str, str], level: str, message: str) -> bool:
    levels = {row[0]} | ALSO.get(row[1], set())
    pattern = ".*".join(map(re.escape, row[1].split("…")))
    return level in levels and re.fullmatch(pattern, message) is not None


def test_every_row_is_in_some_test():
    # Patterns look for the same with backslashes.
    texts = [path.read_text().replace("\\", "") for path in TESTS.rglob("*.py")]
    for _, message in ROWS:
        longest = max(message.split("…"), key=len).strip()
        assert any(longest in text for text in texts), f"no test looks for `{longest}`"


def test_an_ordinary_life_says_nothing_else(serve, dial, tmp_path):
    server = serve("hello", workers=2)
    assert dial(server).get("/").status == 200
    for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGHUP):
        server.signal(number)
        name = signal.Signals(number).name.removeprefix("SIG").lower()
        eventually(lambda name=name: f"Handling signal: {name}" in server.log())
    eventually(lambda: server.log().count("Booting worker with pid") >= 5)
    assert server.stop() == 0
    assert unknown(server.log()) == []
    assert "[INFO] Shutting down: Master" in server.log()


def test_a_failure_of_the_application_says_nothing_else(serve, dial, tmp_path):
    (tmp_path / "broken.py").write_text("def app(environ, start_response):\n    1 / 0\n")
    server = serve("broken:app", cwd=tmp_path)
    assert dial(server).get("/there").status == 500
    assert server.stop() == 0
    assert unknown(server.log()) == []
    assert "[ERROR] Error handling request GET /there\nTraceback" in server.log()


def test_an_application_that_does_not_load_says_nothing_else(oxicorn, tmp_path):
    done = oxicorn("-b", "127.0.0.1:0", "nothing_there:app")
    assert done.returncode == 3
    assert "[ERROR] Reason: Worker failed to boot." in done.stderr
    rest = [line for line in unknown(done.stderr) if "nothing_there" not in line]
    assert rest == []


def test_a_name_that_is_not_in_the_module(oxicorn):
    done = oxicorn("-b", "127.0.0.1:0", "apps.hello:nothing")
    assert done.returncode == 4
    assert "[ERROR] Reason: App failed to load." in done.stderr
    assert "[ERROR] Shutting down: Master" in done.stderr


def test_a_worker_that_has_done_its_share(serve, dial):
    server = serve("hello", "--max-requests", "1")
    (worker,) = server.workers()
    assert dial(server).get("/").status == 200
    line = f"[INFO] Autorestarting worker (pid:{worker}): its replacement boots first\n"
    eventually(lambda: line in server.log())


def test_code_that_changed(serve, tmp_path):
    code = tmp_path / "pages.py"
    code.write_text("from apps.hello import app\n")
    server = serve("pages:app", "--reload", cwd=tmp_path)
    code.write_text("from apps.hello import app  # changed\n")
    eventually(lambda: f"[INFO] Worker reloading: {code} modified\n" in server.log())


def test_a_new_master(serve):
    server = serve("hello")
    server.signal(signal.SIGUSR2)
    eventually(lambda: "[INFO] Started a new master with pid: " in server.log())
