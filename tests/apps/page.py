"""A page with assets, in Flask, that says by which protocol a browser got each of them."""

from flask import Flask, Response

app = Flask(__name__)

PAGE = """<!doctype html>
<title>assets</title>
<link rel="stylesheet" href="/style.css">
<script src="/first.js"></script>
<script src="/second.js"></script>
<img src="/image.svg" alt="">
<p id="told"></p>
<script>
addEventListener("load", () => {
  const entries = [
    ...performance.getEntriesByType("navigation"),
    ...performance.getEntriesByType("resource"),
  ];
  const said = entries.map((entry) => new URL(entry.name).pathname + "=" + entry.nextHopProtocol);
  document.getElementById("told").textContent = said.join(" ") + " ran=" + [first, second];
});
</script>
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="9"/></svg>'


@app.get("/")
def page():
    return PAGE


@app.get("/style.css")
def style():
    return Response("p { color: teal } /*" + "x" * 100_000 + "*/", content_type="text/css")


@app.get("/<name>.js")
def script(name):
    padding = "/*" + "x" * 200_000 + "*/"
    return Response(f"var {name} = '{name}'; {padding}", content_type="text/javascript")


@app.get("/image.svg")
def image():
    return Response(SVG, content_type="image/svg+xml")
