#!/bin/sh
# What the image starts. PORT, WEB_CONCURRENCY and more arguments come from the platform.
set -e
: "${PORT:?PORT is not set}"
echo "start.sh: pid $$"
GUNICORN_CMD_ARGS="--threads 4 --access-logfile - --worker-tmp-dir /dev/shm ${GUNICORN_CMD_ARGS:-}"
export GUNICORN_CMD_ARGS
exec gunicorn --forwarded-allow-ips '*' "shop:create_app()"
