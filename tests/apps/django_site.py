"""The site of tests/frameworks, in Django."""

import hashlib
import io

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="tests only",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django needs its settings first
from django.http import (  # noqa: E402
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402

from apps.site import DOWNLOAD, lines  # noqa: E402


def hello(request):
    return HttpResponse("hello", content_type="text/plain")


def echo(request, rest):
    return JsonResponse({"path": rest, "query": request.GET.get("q")})


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    file = request.FILES["file"]
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return JsonResponse({"name": file.name, "size": len(data), "sha256": digest})


def stream(request):
    return StreamingHttpResponse(lines(int(request.GET["n"])), content_type="text/plain")


def download(request):
    return FileResponse(io.BytesIO(DOWNLOAD), as_attachment=True, filename="data.bin")


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


def elsewhere(request):
    return HttpResponseRedirect("/")


def missing(request):
    raise Http404


def error(request):
    raise RuntimeError("meant to fail")


urlpatterns = [
    path("", hello),
    path("echo/<path:rest>", echo),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("download", download),
    path("count", count),
    path("redirect", elsewhere),
    path("missing", missing),
    path("error", error),
]

app = get_wsgi_application()
