import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from logs import JsonFormatter, JsonLogger

wsgi_app = "shop:application"
workers = 2
accesslog = "-"
pidfile = "shop.pid"

# Two ways to the same lines.
if os.environ.get("SHOP_LOGS") == "dict":
    logconfig_dict = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "filters": {"no_health": {"()": "logs_filter.NoHealth"}},
        "handlers": {
            "errors": {"class": "logging.StreamHandler", "formatter": "json"},
            "requests": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stdout",
                "filters": ["no_health"],
            },
        },
        "root": {"level": "WARNING", "handlers": []},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["errors"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["requests"], "propagate": False},
        },
    }
else:
    logger_class = JsonLogger


def on_starting(server):
    server.log.info("hook on_starting")


def nworkers_changed(server, new_value, old_value):
    server.log.info("hook nworkers_changed %s %s", new_value, old_value)


def when_ready(server):
    server.log.info("hook when_ready")


def pre_fork(server, worker):
    server.log.info("hook pre_fork %s", worker.age)


def post_fork(server, worker):
    os.environ["SHOP_WORKER"] = str(worker.age)
    server.log.info("hook post_fork %s", worker.age)


def post_worker_init(worker):
    worker.log.info("hook post_worker_init %s", worker.age)


def pre_request(worker, req):
    worker.log.debug("hook pre_request %s", req.path)


def post_request(worker, req, environ, resp):
    if req.path == "/warned":
        worker.log.info("hook post_request %s %s", req.path, resp.status_code)


def worker_exit(server, worker):
    worker.log.info("hook worker_exit %s", worker.age)


def child_exit(server, worker):
    server.log.info("hook child_exit %s", worker.age)


def on_reload(server):
    server.log.info("hook on_reload")


def on_exit(server):
    server.log.info("hook on_exit")
