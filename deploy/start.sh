#!/bin/sh
# What the image starts. From the environment: PORT, WEB_CONCURRENCY (workers), OXICORN_CMD_ARGS.
set -e

# What has to be done before the first request, such as: python manage.py migrate

# `exec` makes the server the process that signals reach.
exec oxicorn --bind "0.0.0.0:${PORT:-8000}" --access-logfile - --graceful-timeout 8 shop:app
