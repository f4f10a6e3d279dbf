"""One JSON object for each line, for whoever collects them."""

import json
import logging
import time

from gunicorn import glogging


class JsonFormatter(logging.Formatter):
    converter = time.gmtime

    def format(self, record):
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if hasattr(record, "basket"):
            line["basket"] = record.basket
        if record.name == "gunicorn.access" and isinstance(record.args, dict):
            line["status"] = int(record.args["s"])
            line["path"] = record.args["U"]
            line["agent"] = record.args["a"]
            line["microseconds"] = int(record.args["D"])
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class JsonLogger(glogging.Logger):
    """gunicorn's logger in JSON, without lines for health checks."""

    def setup(self, cfg):
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                handler.setFormatter(JsonFormatter())

    def access(self, resp, req, environ, request_time):
        if environ.get("PATH_INFO") != "/health":
            super().access(resp, req, environ, request_time)
