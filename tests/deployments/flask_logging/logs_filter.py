import logging


class NoHealth(logging.Filter):
    def filter(self, record):
        return not isinstance(record.args, dict) or record.args["U"] != "/health"
