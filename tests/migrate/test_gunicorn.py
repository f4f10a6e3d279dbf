"""gunicorn's settings: the same names, as far as TOML can hold the values."""

from __future__ import annotations

import multiprocessing
import re

CONFIG = '''"""Settings of the shop."""
import multiprocessing
import os

bind = ["0.0.0.0:8000", "unix:shop.sock"]
workers = multiprocessing.cpu_count() * 2 + 1
threads = int(os.environ.get("SHOP_THREADS", "4"))
worker_class = "gthread"
timeout = 60
max_requests = 1000
max_requests_jitter = 50
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s'
umask = 0o007
raw_env = ["SHOP=1", "MOTTO=a, \\"b\\""]
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarded_allow_ips = "10.0.0.0/8,127.0.0.1"
worker_tmp_dir = "/dev/shm"
proc_name = None
wsgi_app = "shop.wsgi:app"


def when_ready(server):
    server.log.info("ready")


def post_fork(server, worker):
    pass
'''


def test_settings_file(migrate, place):
    (place / "gunicorn.conf.py").write_text(CONFIG)
    found = migrate("gunicorn.conf.py", env={"SHOP_THREADS": "8"})
    assert found.settings == {
        "wsgi_app": "shop.wsgi:app",
        "bind": ["0.0.0.0:8000", "unix:shop.sock"],
        "workers": multiprocessing.cpu_count() * 2 + 1,
        "threads": 8,
        "worker_class": "gthread",
        "timeout": 60,
        "max_requests": 1000,
        "max_requests_jitter": 50,
        "accesslog": "-",
        "access_log_format": '%(h)s "%(r)s" %(s)s',
        "umask": 7,
        "raw_env": ["SHOP=1", 'MOTTO=a, "b"'],
        "secure_scheme_headers": {"X-FORWARDED-PROTO": "https"},
        "forwarded_allow_ips": "10.0.0.0/8,127.0.0.1",
    }
    assert "umask = 0o007  # gunicorn.conf.py:14" in found.text
    assert "`multiprocessing.cpu_count() * 2 + 1`" in found.note("workers")
    assert "OXICORN_THREADS" in found.note("threads (gunicorn.conf.py:7)")
    assert "no file is needed" in found.note("worker_tmp_dir")
    assert "limit_request_line = 8190" in found.note("defaults")


def test_hooks_stay_in_python_and_are_named(migrate, serve, place):
    """The proposal of the comments works when it is followed."""
    (place / "gunicorn.conf.py").write_text(CONFIG)
    found = migrate("gunicorn.conf.py")
    assert "when_ready, post_fork" in found.note("when_ready")
    assert '# when_ready = "server_hooks.when_ready"' in found.text
    (place / "server_hooks.py").write_text(CONFIG[CONFIG.index("def when_ready") :])
    text = re.sub(r'^# (\w+ = "server_hooks)', r"\1", found.text, flags=re.MULTILINE)
    (place / "oxicorn.toml").write_text(text)
    server = serve(None, "-c", "oxicorn.toml", "--error-logfile", "-", cwd=place)
    assert "[INFO] ready" in server.log()


def test_command_line_and_variable_win_over_the_file(migrate, place):
    (place / "gunicorn.conf.py").write_text("workers = 2 * 2\nthreads = 2\nkeepalive = 5\n")
    found = migrate(
        "gunicorn", "-w", "3", "--log-level=debug", "shop.wsgi:create_app()",
        env={"GUNICORN_CMD_ARGS": "--threads 6 -b :9000"},
    )  # fmt: skip
    assert found.settings == {
        "wsgi_app": "shop.wsgi:create_app()",
        "bind": ["0.0.0.0:9000"],
        "workers": 3,
        "threads": 6,
        "keepalive": 5,
        "loglevel": "debug",
    }
    assert "threads = 6  # $GUNICORN_CMD_ARGS" in found.text
    assert "computed" not in found.text


def test_command_in_one_word(migrate):
    found = migrate('exec gunicorn -e "A=b c" --bind=unix:/run/shop.sock shop.wsgi')
    assert found.settings == {
        "wsgi_app": "shop.wsgi",
        "bind": ["unix:/run/shop.sock"],
        "raw_env": ["A=b c"],
    }


def test_module_of_python(migrate):
    assert migrate("python3", "-m", "gunicorn", "-w4", "shop.wsgi:app").settings["workers"] == 4


def test_without_arguments_what_gunicorn_would_find(migrate, place):
    (place / "gunicorn.conf.py").write_text("workers = 2\nwsgi_app = 'shop.wsgi:app'\n")
    assert migrate().settings == {"workers": 2, "wsgi_app": "shop.wsgi:app"}


def test_what_is_not_there_is_said_with_advice(migrate, place):
    (place / "gunicorn.conf.py").write_text(
        "wsgi_app = 'shop.wsgi:app'\n"
        "worker_class = 'uvicorn.workers.UvicornWorker'\n"
        "dirty_apps = ['shop.tasks:app']\n"
        "timout = 3\n"
        "workers = 'many'\n"
    )
    found = migrate("gunicorn.conf.py")
    assert found.settings == {"wsgi_app": "shop.wsgi:app"}
    assert "UvicornWorker" in found.note("worker_class (gunicorn.conf.py:2)")
    assert "expected a whole number" in found.note("workers (gunicorn.conf.py:5)")
    assert "did you mean `timeout`?" in found.note("gunicorn.conf.py:4")
    assert "Has no equivalent: workers (gunicorn.conf.py:5)" in found.stderr


def test_what_the_file_does_beside_settings(migrate, place):
    (place / "gunicorn.conf.py").write_text(
        "wsgi_app = 'shop.wsgi:app'\nprint('reading')\nif True:\n    workers = 2\n"
    )
    found = migrate("gunicorn.conf.py")
    assert found.settings == {"wsgi_app": "shop.wsgi:app", "workers": 2}
    assert "`print('reading')`" in found.note("gunicorn.conf.py:2")
    assert "reading" in found.stderr
    assert "if … workers = 2" in found.note("workers")


def test_file_that_fails(oxicorn, place):
    (place / "gunicorn.conf.py").write_text("workers = 1 / 0\n")
    result = oxicorn("migrate", "gunicorn.conf.py", cwd=place)
    assert result.returncode == 1
    assert "settings file gunicorn.conf.py failed: ZeroDivisionError" in result.stderr
    assert result.stdout == ""


def test_wrong_option(oxicorn, place):
    result = oxicorn("migrate", "gunicorn", "--wrokers", "3", cwd=place)
    assert result.returncode == 2
    assert "did you mean `--workers`?" in result.stderr
