"""The servers: where each comes from, and how it is started with one worker."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
ENVS = BENCH / ".envs"

# Every environment has the framework too, so that its cost is the same for all.
FRAMEWORK = ["flask==3.1.2"]


@dataclass(frozen=True)
class Server:
    name: str
    packages: list[str]
    command: str
    """`{bin}`, `{apps}`, `{app}`, `{port}` and `{connections}` are filled in, word by word."""
    note: str = ""
    """What it takes to install it, where that is more than pip."""
    env: str = ""
    """Name of the environment, where several servers share one."""

    @property
    def prefix(self) -> Path:
        return ENVS / (self.env or self.name)

    def argv(self, app: str, port: int, connections: int = 1000) -> list[str]:
        values = {
            "bin": str(self.prefix / "bin"),
            "apps": str(BENCH / "apps"),
            "app": app,
            "port": str(port),
            "connections": str(connections),
        }
        return [part.format(**values) for part in self.command.split()]


FLOOR = Server("floor", [], "{bin}/floor {port}", note="needs a C compiler")
"""What the kernel takes: it looks at no request and knows the answer of `hello`."""

SERVERS = [
    FLOOR,
    Server(
        "oxicorn",
        [],
        "{bin}/oxicorn -w 1 --worker-connections {connections} -b 127.0.0.1:{port} apps:{app}",
    ),
    Server(
        "gunicorn-sync",
        ["gunicorn==27.0.1"],
        "{bin}/gunicorn -w 1 -b 127.0.0.1:{port} apps:{app}",
        env="gunicorn",
    ),
    Server(
        "gunicorn-gthread",
        ["gunicorn==27.0.1"],
        "{bin}/gunicorn -w 1 -k gthread --threads 4 --keep-alive 75"
        " --worker-connections {connections} -b 127.0.0.1:{port} apps:{app}",
        env="gunicorn",
    ),
    Server(
        "granian",
        ["granian==2.8.7"],
        "{bin}/granian --interface wsgi --workers 1 --backlog 2048 --backpressure {connections}"
        " --no-ws --log-level warning --host 127.0.0.1 --port {port} apps:{app}",
    ),
    Server(
        "bjoern",
        ["bjoern==3.2.2"],
        "{bin}/python {apps}/serve.py bjoern {app} {port}",
        note="needs libev's headers (Debian: libev-dev)",
    ),
    Server(
        "waitress",
        ["waitress==3.0.2"],
        "{bin}/waitress-serve --listen=127.0.0.1:{port} --channel-timeout=120"
        " --connection-limit={connections} apps:{app}",
    ),
    Server(
        "fastwsgi",
        ["fastwsgi==0.0.9"],
        "{bin}/python {apps}/serve.py fastwsgi {app} {port}",
    ),
]

BY_NAME = {server.name: server for server in SERVERS}


class NotInstalled(Exception):
    """The server is left out; the text says why, for the report."""


def install(server: Server) -> str:
    """Makes the server's environment if it is not there, and returns the server's version."""
    if server is FLOOR:
        (server.prefix / "bin").mkdir(parents=True, exist_ok=True)
        source, program = BENCH / "floor" / "floor.c", server.prefix / "bin" / "floor"
        call(["cc", "-O2", "-Wall", "-o", str(program), str(source)])
        return "compiled"
    marker = server.prefix / "installed"
    wanted = "\n".join([sys.version, *server.packages, *FRAMEWORK])
    if server.name == "oxicorn":
        wheel = newest_wheel()
        wanted += f"\n{wheel.name} {wheel.stat().st_mtime_ns}"
        packages = [str(wheel)]
    else:
        packages = server.packages
    if not marker.exists() or marker.read_text() != wanted:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        marker.unlink(missing_ok=True)
        python = server.prefix / "bin" / "python"
        call([sys.executable, "-m", "venv", str(server.prefix)])
        force = ["--force-reinstall", "--no-deps"] if server.name == "oxicorn" else []
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call([*pip, *force, *packages])
        call([*pip, *FRAMEWORK])
        marker.write_text(wanted)
    return version(server)


def newest_wheel() -> Path:
    """The release wheel of this tree, made by the gate's steps if there is none."""
    wheels = find_wheels()
    if not wheels:
        print("building the wheel: scripts/check setup wheel", file=sys.stderr)
        call([str(ROOT / "scripts" / "check"), "setup", "wheel"], timeout=3600)
        wheels = find_wheels()
    if not wheels:
        raise NotInstalled("no wheel in dist/: run `scripts/check setup wheel`")
    sources = [ROOT / "Cargo.lock", *ROOT.glob("crates/**/*.rs"), *ROOT.glob("python/**/*.py")]
    if max(source.stat().st_mtime for source in sources) > wheels[-1].stat().st_mtime:
        print(f"note: {wheels[-1].name} is older than the sources", file=sys.stderr)
    return wheels[-1]


def find_wheels() -> list[Path]:
    """Wheels for this interpreter, newest last."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheels = ROOT.glob(f"dist/oxicorn-*-{tag}-*.whl")
    return sorted(wheels, key=lambda wheel: wheel.stat().st_mtime)


def version(server: Server) -> str:
    package = (server.env or server.name).split("-")[0]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return call([str(server.prefix / "bin" / "python"), "-c", code]).strip()


def call(argv: list[str], timeout: int = 600) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise NotInstalled(lines[0].strip() if lines else f"{argv[0]} failed")
    return done.stdout
