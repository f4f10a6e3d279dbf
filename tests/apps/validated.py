"""The plain applications behind `wsgiref.validate`, which raises on any breach of PEP 3333."""

import importlib
from wsgiref.validate import validator

NAMES = ("hello", "sized", "sleepy", "validated_echo")
PLAIN = {name: validator(importlib.import_module(f"apps.{name}").app) for name in NAMES}


def app(environ, start_response):
    """`/NAME/rest` is `/rest` of that application."""
    _, name, rest = environ["PATH_INFO"].split("/", 2)
    environ["SCRIPT_NAME"] += f"/{name}"
    environ["PATH_INFO"] = f"/{rest}"
    return PLAIN[name](environ, start_response)
