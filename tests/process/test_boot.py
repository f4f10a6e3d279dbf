"""Workers that do not come up."""

from __future__ import annotations

import signal

from support import eventually

SLOW = """
import time
time.sleep(600)
"""


def test_boot_timeout_ends_the_start(oxicorn, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    done = oxicorn("-b", "127.0.0.1:0", "--boot-timeout", "1", "slow:app")
    assert done.returncode == 3
    assert "[CRITICAL] WORKER BOOT TIMEOUT (pid:" in done.stderr
    assert "slow.py" in done.stderr
    assert "Reason: Worker failed to boot." in done.stderr


def test_boot_timeout_at_a_reload_keeps_the_old_workers(serve, dial, tmp_path):
    source = tmp_path / "shop.py"
    source.write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '3')])\n"
        "    return [b'old']\n"
    )
    server = serve(
        "shop:app", "--boot-timeout", "5", cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    with dial(server) as peer:
        assert peer.get().body == b"old"
    source.write_text(SLOW)
    server.signal(signal.SIGHUP)
    eventually(lambda: "Reload failed: Worker failed to boot." in server.log())
    with dial(server) as peer:
        assert peer.get().body == b"old"


def test_jitter_is_added_to_max_requests(serve, dial):
    server = serve("whoami", "--max-requests", "2", "--max-requests-jitter", "3")
    counts = {}

    def several():
        with dial(server) as peer:
            pid = int(peer.get().body)
        counts[pid] = counts.get(pid, 0) + 1
        return len(counts) > 4

    eventually(several)
    # A worker goes on serving until its replacement does: the least is exact, the most is not.
    assert all(count >= 2 for count in list(counts.values())[:-1])
    assert "Autorestarting worker" in server.log()
