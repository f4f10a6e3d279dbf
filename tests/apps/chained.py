"""An application whose calls are clients of its own server: each brings the next connection."""

import socket
import time

ORDER = []
KEPT = []


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/order":
        body = " ".join(ORDER).encode()
    else:
        ORDER.append(path)
        body = b"done"
        address = environ["SERVER_NAME"], int(environ["SERVER_PORT"])
        if path == "/keep":
            KEPT.append(socket.create_connection(address, 60))
            KEPT[0].sendall(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        elif path.startswith("/chain/"):
            left = int(path.rpartition("/")[2])
            if left == 15:
                KEPT[0].sendall(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
            if left:
                KEPT.append(socket.create_connection(address, 60))
                request = f"GET /chain/{left - 1} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                KEPT[-1].sendall(request.encode())
            # Others could have had their turn.
            time.sleep(0.0005)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
