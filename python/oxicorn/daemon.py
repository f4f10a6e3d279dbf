"""A process that leaves its terminal behind."""

from __future__ import annotations

import os
import sys


def detach(keep_output: bool) -> None:
    """Goes on in a child that has no terminal; the calling process ends with 0.

    Standard input comes from nowhere then. Standard output and error go nowhere, unless they are
    to be kept and are no terminal.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    # Only the leader of a session could get a terminal again.
    if os.fork():
        os._exit(0)
    os.umask(0o022)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    for number in (1, 2):
        if not keep_output or os.isatty(number):
            os.dup2(nowhere, number)
    if nowhere > 2:
        os.close(nowhere)
