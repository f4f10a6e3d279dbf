"""The site of tests/frameworks, in Falcon."""

import hashlib
import io

import falcon

from apps.site import DOWNLOAD, lines

app = falcon.App()


class Hello:
    def on_get(self, request, response):
        response.content_type = "text/plain"
        response.text = "hello"


class Echo:
    def on_get(self, request, response, rest):
        response.media = {"path": rest, "query": request.get_param("q")}


class Form:
    def on_post(self, request, response):
        response.media = request.get_media()


class Upload:
    def on_post(self, request, response):
        for part in request.get_media():
            data = part.stream.read()
            digest = hashlib.sha256(data).hexdigest()
            response.media = {"name": part.filename, "size": len(data), "sha256": digest}


class Stream:
    def on_get(self, request, response):
        response.content_type = "text/plain"
        response.stream = lines(request.get_param_as_int("n"))


class Download:
    def on_get(self, request, response):
        response.content_type = "application/octet-stream"
        response.downloadable_as = "data.bin"
        response.set_stream(io.BytesIO(DOWNLOAD), len(DOWNLOAD))


class Count:
    def on_get(self, request, response):
        number = int(request.cookies.get("count", "0")) + 1
        response.set_cookie("count", str(number), secure=False)
        response.media = {"count": number}


class Elsewhere:
    def on_get(self, request, response):
        raise falcon.HTTPFound("/")


class Error:
    def on_get(self, request, response):
        raise RuntimeError("meant to fail")


app.add_route("/", Hello())
app.add_route("/echo/{rest:path}", Echo())
app.add_route("/form", Form())
app.add_route("/upload", Upload())
app.add_route("/stream", Stream())
app.add_route("/download", Download())
app.add_route("/count", Count())
app.add_route("/redirect", Elsewhere())
app.add_route("/error", Error())
