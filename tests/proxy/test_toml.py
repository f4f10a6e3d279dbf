"""The group as a table of a TOML settings file."""

from __future__ import annotations

TABLE = """
workers = 2

[proxy]
trusted = ["10.0.0.0/8", "unix:"]
x_for = "auto"
strict = true
map = { X-FHost = "HTTP_HOST" }
"""


def printed(done, name):
    return next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))


def test_a_table_of_a_settings_file(oxicorn, tmp_path):
    (tmp_path / "oxicorn.toml").write_text(TABLE)
    done = oxicorn("--print-config", "-c", "oxicorn.toml")
    assert "= 2 " in printed(done, "workers"), done.stderr
    line = printed(done, "proxy")
    assert "'trusted': ['unix:', '10.0.0.0/8']" in line
    assert "'x_for': 'auto'" in line
    assert "'strict': True" in line
    assert "'map': {'X-FHost': 'HTTP_HOST'}" in line
    assert line.endswith("# oxicorn.toml:4")


def test_a_table_of_pyproject(oxicorn, tmp_path):
    text = TABLE.replace("\nworkers", "[tool.oxicorn]\nworkers")
    (tmp_path / "pyproject.toml").write_text(text.replace("[proxy]", "[tool.oxicorn.proxy]"))
    done = oxicorn("--print-config", "-c", "pyproject.toml")
    assert "'x_for': 'auto'" in printed(done, "proxy"), done.stderr


def test_mistakes_name_their_line(oxicorn, tmp_path):
    (tmp_path / "oxicorn.toml").write_text(TABLE.replace("x_for", "x_fro"))
    done = oxicorn("--print-config", "-c", "oxicorn.toml")
    assert (done.returncode, "oxicorn.toml:4" in done.stderr) == (1, True), done.stderr
    (tmp_path / "oxicorn.toml").write_text("workers = ")
    done = oxicorn("--print-config", "-c", "oxicorn.toml")
    assert "Error: settings file oxicorn.toml is no TOML" in done.stderr
