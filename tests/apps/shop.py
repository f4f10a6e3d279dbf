"""A Flask site that says where it thinks it is."""

from flask import Flask, jsonify, redirect, request, url_for

app = Flask(__name__)


@app.get("/where")
def where():
    return jsonify(
        remote_addr=request.remote_addr,
        url=url_for("item", number=7, _external=True),
        scheme=request.scheme,
        host=request.host,
        root=request.script_root,
        path=request.path,
        protocol=request.environ["SERVER_PROTOCOL"],
        fields=dict(request.headers.items()),
    )


@app.get("/item/<int:number>")
def item(number):
    return f"item {number}"


@app.get("/old")
def old():
    return redirect(url_for("item", number=7, _external=True))


@app.post("/echo")
def echo():
    return request.get_data()
