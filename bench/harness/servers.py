"""The servers: where each comes from, and how it is started."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
ENVS = BENCH / ".envs"

# Every environment has the frameworks too, so that their cost is the same for all.
FRAMEWORKS = ["flask==3.1.3", "django==5.2.19"]


PLAIN, TLS, HTTP2 = "plain", "TLS", "HTTP/2"
"""What servers speak: HTTP/1.1 without TLS, the same in TLS, and HTTP/2 in TLS."""


@dataclass(frozen=True)
class Server:
    name: str
    packages: list[str]
    command: str
    """`{bin}`, `{apps}`, `{app}`, `{port}`, `{connections}`, `{workers}`, `{threads}`, `{cert}`,
    `{key}` and `{folder}` (an empty one) are filled in, word by word."""
    note: str = ""
    """What it takes to install it, where that is more than pip."""
    env: str = ""
    """Name of the environment, where several servers share one."""
    python: str = ""
    """Version of CPython where this one's does not do."""
    is_ours: bool = False
    """Whether it is the wheel of this tree."""
    loop: str = ""
    """Whose event loop it has, if it is one of Python's."""
    beside: tuple[str, ...] = ()
    """The servers whose place it takes; it runs only the workloads that show that."""
    speaks: dict[str, str] = field(default_factory=lambda: {PLAIN: ""})
    """What it is measured with, and what the command has for that beside the rest."""
    behind_nginx: bool = False
    """Whether nginx takes the requests at `{port}` and passes them on."""

    @property
    def prefix(self) -> Path:
        return ENVS / (self.env or self.name)

    @property
    def probed(self) -> str:
        """What it speaks when its answers are examined."""
        return next(iter(self.speaks))

    def argv(self, protocol: str = PLAIN, **values: object) -> list[str]:
        """The command, with the values of what stands in braces."""
        known = {"bin": self.prefix / "bin", "apps": BENCH / "apps", **values}
        words = f"{self.command} {self.speaks[protocol]}".split()
        return [word.format(**known) for word in words]


FLOOR = Server("floor", [], "{bin}/floor {port}", note="needs a C compiler")
"""What the kernel takes: it looks at no request and knows the answer of `hello`."""

OURS = "oxicorn"
LOOPS = {"gevent": "gevent==26.9.0", "tornado": "tornado==6.6.1"}
GUNICORN = "gunicorn==27.0.1"
GUNICORN_OPTIONS = " --worker-connections {connections} -w {workers} -b 127.0.0.1:{port} apps:{app}"
"""What is the same for oxicorn."""
GTHREAD = "{bin}/gunicorn -k gthread --threads {threads} --keep-alive 75"
PEM = "--certfile {cert} --keyfile {key}"
GRANIAN_PEM = "--ssl-certificate {cert} --ssl-keyfile {key}"
TLS_PEM = "--tls-cert {cert} --tls-key {key}"


def on_loop(name: str, loop: str, beside: str, note: str, command: str = "") -> Server:
    """oxicorn under another event loop, by default as a program of its own."""
    return Server(
        name,
        [*LOOPS.values()],
        command or program(name),
        note=note,
        env="oxicorn-hosts",
        is_ours=True,
        loop=loop,
        beside=(beside,),
    )


def program(name: str) -> str:
    """The command of a server that has none by itself."""
    return f"{{bin}}/python {{apps}}/serve.py {name} {{app}} {{port}}"


SERVERS = [
    FLOOR,
    Server(
        OURS,
        [],
        "{bin}/oxicorn --threads {threads}" + GUNICORN_OPTIONS,
        is_ours=True,
        speaks={PLAIN: "", TLS: PEM, HTTP2: f"{PEM} --http-protocols h2,h1"},
    ),
    on_loop("oxicorn-gevent", "gevent", "gevent", "`oxicorn.gevent` in a program"),
    on_loop(
        "oxicorn-k-gevent",
        "gevent",
        "gunicorn-gevent",
        "the worker class",
        "{bin}/oxicorn -k gevent" + GUNICORN_OPTIONS,
    ),
    on_loop(
        "oxicorn-tornado",
        "tornado",
        "tornado",
        "`oxicorn.tornado` in a program, the application on threads",
    ),
    on_loop(
        "oxicorn-tornado-inline",
        "tornado",
        "tornado",
        "the same, the application on the loop's thread, as under Tornado",
    ),
    Server(
        "gunicorn-sync",
        [GUNICORN],
        "{bin}/gunicorn -w {workers} -b 127.0.0.1:{port} apps:{app}",
        env="gunicorn",
    ),
    Server(
        "gunicorn-gthread",
        [GUNICORN],
        GTHREAD + GUNICORN_OPTIONS,
        env="gunicorn",
        # Its HTTP/2 keeps a thread for each connection: with one thread it serves one connection.
        speaks={PLAIN: "", TLS: PEM},
    ),
    Server(
        "gunicorn-gevent",
        [GUNICORN, LOOPS["gevent"], "packaging"],
        "{bin}/gunicorn -k gevent --keep-alive 75" + GUNICORN_OPTIONS,
        loop="gevent",
    ),
    Server(
        "waitress",
        ["waitress==3.0.2"],
        "{bin}/waitress-serve --listen=127.0.0.1:{port} --channel-timeout=120"
        " --connection-limit={connections} --threads={threads} apps:{app}",
    ),
    *(Server(name, [pinned], program(name), loop=name) for name, pinned in LOOPS.items()),
    Server(
        "granian",
        ["granian==2.8.7"],
        "{bin}/granian --interface wsgi --workers {workers} --blocking-threads {threads}"
        " --backlog 2048 --backpressure {connections} --no-ws --log-level warning"
        " --host 127.0.0.1 --port {port} apps:{app}",
        speaks={PLAIN: "", TLS: GRANIAN_PEM, HTTP2: GRANIAN_PEM},
    ),
    Server(
        "bjoern",
        ["bjoern==3.2.2"],
        program("bjoern"),
        note="needs libev's headers (Debian: libev-dev)",
    ),
    Server("fastwsgi", ["fastwsgi==0.0.9"], program("fastwsgi")),
    Server("fastpysgi", ["fastpysgi==0.6"], program("fastpysgi")),
    Server("freastal", ["freastal==0.0.3"], program("freastal")),
    Server(
        "peregrine",
        ["peregrine-server==1.2.0"],
        "{bin}/peregrine --workers {workers} --wsgi-threads {threads} --keep-alive 75000"
        " --max-connections {connections} --host 127.0.0.1 --port {port} apps:{app}",
        speaks={PLAIN: "", TLS: TLS_PEM, HTTP2: TLS_PEM},
    ),
    Server(
        "weft",
        ["weft-server==0.1.1"],
        "{bin}/weft --workers {workers} --wsgi-threads {threads} --keep-alive 75"
        " --max-connections {connections} --host 127.0.0.1 --port {port} apps:{app}",
        speaks={PLAIN: "", TLS: TLS_PEM, HTTP2: TLS_PEM},
        note="its wheel for CPython 3.11 does not load",
        python="3.13",
    ),
    Server(
        "uwsgi",
        ["uwsgi==2.0.31"],
        "{bin}/uwsgi --http11-socket 127.0.0.1:{port} --master --workers {workers}"
        " --threads {threads} --listen 100 --disable-logging --die-on-term --need-app"
        " --module apps:{app}",
        note="built from source: needs a C compiler",
    ),
    Server(
        "hypercorn",
        ["hypercorn==0.18.0", "h2==4.4.1"],
        "{bin}/hypercorn --workers {workers} --config file:{apps}/hypercorn_keeps.py"
        " --bind 127.0.0.1:{port} wsgi:apps:{app}",
        speaks={TLS: PEM, HTTP2: PEM},
    ),
    Server(
        "nginx-gunicorn",
        [GUNICORN],
        GTHREAD + " --worker-connections {connections} -w {workers}"
        " -b unix:{folder}/gunicorn.sock apps:{app}",
        note="nginx in front of gunicorn's threads; needs nginx (Debian: nginx-light)",
        env="gunicorn",
        speaks={TLS: "", HTTP2: ""},
        behind_nginx=True,
    ),
]

BY_NAME = {server.name: server for server in SERVERS}
OWN = {server.name for server in SERVERS if server.is_ours}


class NotInstalled(Exception):
    """The server is left out; the text says why, for the report."""


def install(server: Server) -> str:
    """Makes the server's environment if it is not there, and returns the server's version."""
    if server is FLOOR:
        return compile_c("floor", server.prefix / "bin")
    if server.behind_nginx and not shutil.which("nginx"):
        raise NotInstalled("needs nginx, which is not on this machine")
    interpreter = find_python(server.python)
    marker = server.prefix / "installed"
    wanted = "\n".join([interpreter, sys.version, *server.packages, *FRAMEWORKS])
    packages = server.packages
    if server.is_ours:
        wheel = newest_wheel()
        wanted += f"\n{wheel.name} {wheel.stat().st_mtime_ns}"
        packages = [*packages, str(wheel)]
    if not marker.exists() or marker.read_text() != wanted:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        marker.unlink(missing_ok=True)
        python = server.prefix / "bin" / "python"
        call([interpreter, "-m", "venv", str(server.prefix)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call([*pip, *packages, *FRAMEWORKS])
        if server.is_ours:
            # The version may be the same as that of the wheel before.
            call([*pip, "--force-reinstall", "--no-deps", packages[-1]])
        marker.write_text(wanted)
    return version(server)


def find_python(wanted: str) -> str:
    """The interpreter of a version: this one, one on PATH, or one of pyenv's."""
    if not wanted:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python{wanted}")
    for path in [*sorted(pyenv.glob(f"{wanted}.*/bin/python3")), *([on_path] if on_path else [])]:
        try:
            call([str(path), "-c", "import venv"])
        except NotInstalled:
            continue
        return str(path)
    raise NotInstalled(f"needs CPython {wanted}, which is not on this machine")


def compile_c(name: str, into: Path) -> str:
    """Compiles one of the programs of `bench/floor`."""
    into.mkdir(parents=True, exist_ok=True)
    source = BENCH / "floor" / f"{name}.c"
    call(["cc", "-O2", "-Wall", "-pthread", "-o", str(into / name), str(source)])
    return "compiled"


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
    package = OURS if server.is_ours else server.packages[0].partition("==")[0]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = call([str(server.prefix / "bin" / "python"), "-c", code]).strip()
    return f"{found} behind {nginx_version()}" if server.behind_nginx else found


def nginx_version() -> str:
    """It says so on standard error."""
    done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    return done.stderr.rpartition(" ")[2].strip()


def call(argv: list[str], timeout: int = 600) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise NotInstalled(lines[0].strip() if lines else f"{argv[0]} failed")
    return done.stdout
