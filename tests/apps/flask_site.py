"""The site of tests/frameworks, in Flask."""

import hashlib
import io

from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session

from apps.site import DOWNLOAD, lines

app = Flask(__name__)
app.secret_key = "tests only"


@app.get("/")
def hello():
    return Response("hello", content_type="text/plain")


@app.get("/echo/<path:rest>")
def echo(rest):
    return jsonify(path=rest, query=request.args.get("q"))


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(name=file.filename, size=len(data), sha256=hashlib.sha256(data).hexdigest())


@app.get("/stream")
def stream():
    return Response(lines(int(request.args["n"])), content_type="text/plain")


@app.get("/download")
def download():
    return send_file(io.BytesIO(DOWNLOAD), download_name="data.bin", as_attachment=True)


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return jsonify(count=session["count"])


@app.get("/redirect")
def elsewhere():
    return redirect("/")


@app.get("/missing")
def missing():
    abort(404)


@app.get("/error")
def error():
    raise RuntimeError("meant to fail")
