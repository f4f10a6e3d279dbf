"""Calls methods of `wsgi.input`, as the query says, and tells what each returned.

`?read:3;readline;list` calls `read(3)`, `readline()` and `list()` of it. A raised exception is
told as its type's name.
"""

import json


def app(environ, start_response):
    body = environ["wsgi.input"]
    told = []
    for call in environ["QUERY_STRING"].split(";"):
        name, *arguments = call.split(":")
        arguments = [None if text == "None" else int(text) for text in arguments]
        try:
            if name == "list":
                result = list(body)
            elif name == "next":
                result = next(body, None)
            else:
                result = getattr(body, name)(*arguments)
        except Exception as error:
            result = type(error).__name__
        told.append(repr(result))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
