"""Settings of the servers that are trained with."""

import ctypes


def worker_exit(server, worker):
    # Workers leave by `_exit`, which would take their notes with it.
    ctypes.CDLL(None).exit(0)
