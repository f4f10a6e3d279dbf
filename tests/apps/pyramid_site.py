"""The site of tests/frameworks, in Pyramid."""

import hashlib
import io

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPNotFound
from pyramid.response import FileIter, Response
from pyramid.session import SignedCookieSessionFactory

from apps.site import DOWNLOAD, lines


def hello(request):
    return Response("hello", content_type="text/plain")


def echo(request):
    return {"path": "/".join(request.matchdict["rest"]), "query": request.GET.get("q")}


def form(request):
    return dict(request.POST)


def upload(request):
    file = request.POST["file"]
    data = file.file.read()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": file.filename, "size": len(data), "sha256": digest}


def stream(request):
    return Response(app_iter=lines(int(request.GET["n"])), content_type="text/plain")


def download(request):
    response = Response(content_type="application/octet-stream")
    response.content_disposition = 'attachment; filename="data.bin"'
    response.app_iter = FileIter(io.BytesIO(DOWNLOAD))
    response.content_length = len(DOWNLOAD)
    return response


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return {"count": request.session["count"]}


def elsewhere(request):
    return HTTPFound("/")


def missing(request):
    return HTTPNotFound()


def error(request):
    raise RuntimeError("meant to fail")


def make():
    views = {
        "/": (hello, None),
        "/echo/*rest": (echo, "json"),
        "/form": (form, "json"),
        "/upload": (upload, "json"),
        "/stream": (stream, None),
        "/download": (download, None),
        "/count": (count, "json"),
        "/redirect": (elsewhere, None),
        "/missing": (missing, None),
        "/error": (error, None),
    }
    sessions = SignedCookieSessionFactory("tests only")
    with Configurator(session_factory=sessions) as config:
        for pattern, (view, renderer) in views.items():
            config.add_route(view.__name__, pattern)
            config.add_view(view, route_name=view.__name__, renderer=renderer)
        return config.make_wsgi_app()


app = make()
