"""`/N` answers with N bytes at once, `/N/M` with N bytes in pieces of M."""


def app(environ, start_response):
    size, *piece = [int(part) for part in environ["PATH_INFO"].strip("/").split("/")]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
    step = piece[0] if piece else size
    return [b"x" * size] if step == size else pieces(size, step)


def pieces(size, step):
    for start in range(0, size, step):
        yield b"x" * min(step, size - start)
