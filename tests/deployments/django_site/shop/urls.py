import hashlib
import os

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path, reverse


def home(request):
    return JsonResponse(
        {
            "url": request.build_absolute_uri(),
            "secure": request.is_secure(),
            "client": request.META.get("HTTP_X_FORWARDED_FOR"),
            "pid": os.getpid(),
            "motto": os.environ["SHOP_MOTTO"],
        }
    )


def form(request):
    if request.method == "POST":
        return HttpResponse(f"thank you, {request.POST['name']}")
    return HttpResponse(get_token(request))


def upload(request):
    digest = hashlib.sha256()
    for chunk in request.FILES["file"].chunks():
        digest.update(chunk)
    return HttpResponse(digest.hexdigest())


upload.csrf_exempt = True


def stream(request):
    return StreamingHttpResponse((f"line {n}\n" for n in range(1000)), content_type="text/plain")


def old(request):
    return redirect(reverse("home"))


def broken(request):
    raise RuntimeError("broken on purpose")


urlpatterns = [
    path("", home, name="home"),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("old", old),
    path("broken", broken),
]
