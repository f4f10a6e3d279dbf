"""nginx as the end of TLS and HTTP/2 before another server."""

import grp
import os
import pwd
from pathlib import Path

from . import tls


def command(folder: Path, port: int, workers: int) -> list[str]:
    """How nginx is started with everything that it writes in `folder`, where the other listens."""
    path = folder / "nginx.conf"
    path.write_text(configuration(folder, port, workers))
    # Before it reads its file it would write to the log of the one that the system runs.
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(path)]


def configuration(folder: Path, port: int, workers: int) -> str:
    """As the guides for gunicorn have it; connections are kept on both sides, as by its peers."""
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    # The folder belongs to this user alone; who is not root cannot choose.
    who = f"user {user} {group};" if os.getuid() == 0 else ""
    temporary = "\n".join(
        f"  {kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
{who}
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes {workers};
events {{ worker_connections 4096; }}
http {{
{temporary}
  access_log off;
  keepalive_requests 1000000000;
  upstream application {{
    server unix:{folder}/gunicorn.sock;
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {tls.certificate().cert};
    ssl_certificate_key {tls.certificate().key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""
