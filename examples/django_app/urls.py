"""Pages of the Django example."""

from django.http import HttpResponse, JsonResponse
from django.urls import path


def index(request):
    return HttpResponse("<h1>It works</h1><p>Django, served by oxicorn.</p>")


def hello(request, name):
    return JsonResponse({"hello": name})


urlpatterns = [path("", index), path("hello/<name>", hello)]
