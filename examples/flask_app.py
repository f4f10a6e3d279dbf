"""A small Flask site: `oxicorn -w 4 -b 127.0.0.1:4000 flask_app:app` in this folder."""

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index():
    return "<h1>It works</h1><p>Flask, served by oxicorn.</p>"


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name}


@app.post("/echo")
def echo():
    return request.form.to_dict()
