"""The site of tests/frameworks, in Bottle."""

import hashlib
import io

import bottle
from bottle import HTTPError, redirect, request, response

from apps.site import DOWNLOAD, lines

app = bottle.Bottle()


@app.get("/")
def hello():
    response.content_type = "text/plain"
    return "hello"


@app.get("/echo/<rest:path>")
def echo(rest):
    return {"path": rest, "query": request.query.getunicode("q")}


@app.post("/form")
def form():
    return dict(request.forms.decode())


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.file.read()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": file.raw_filename, "size": len(data), "sha256": digest}


@app.get("/stream")
def stream():
    response.content_type = "text/plain"
    return lines(int(request.query["n"]))


@app.get("/download")
def download():
    response.content_type = "application/octet-stream"
    response.set_header("Content-Disposition", 'attachment; filename="data.bin"')
    response.content_length = len(DOWNLOAD)
    return io.BytesIO(DOWNLOAD)


@app.get("/count")
def count():
    number = int(request.get_cookie("count", "0", secret="tests only")) + 1
    response.set_cookie("count", str(number), secret="tests only")
    return {"count": number}


@app.get("/redirect")
def elsewhere():
    redirect("/", 302)


@app.get("/missing")
def missing():
    raise HTTPError(404)


@app.get("/error")
def error():
    raise RuntimeError("meant to fail")
