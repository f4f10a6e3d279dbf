"""A wall clock that jumps changes what is written about time, and no limit."""

from __future__ import annotations

import email.utils
import struct
import subprocess
import time

import pytest

from support.wait import eventually

# Adds the seconds in a file to every reading of the wall clock that its process takes.
SHIFT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t *shift;

__attribute__((constructor)) static void map_shift(void) {
    int fd = open(getenv("WALL_CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    void *place = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED) abort();
    shift = place;
    close(fd);
}

int clock_gettime(clockid_t which, struct timespec *into) {
    int failed = syscall(SYS_clock_gettime, which, into);
    if (!failed && shift && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        into->tv_sec += *shift;
    return failed;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    into->tv_sec = now.tv_sec;
    into->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
"""
YEAR = 365 * 24 * 3600


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "shift.c", folder / "shift.so"
    source.write_text(SHIFT)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=120
    )
    return library


@pytest.fixture
def wall(tmp_path):
    """Moves the wall clock of the servers of this test by so many seconds."""
    path = tmp_path / "shift"

    def move(seconds: int) -> None:
        with path.open("r+b") as file:
            file.write(struct.pack("=q", seconds))

    path.write_bytes(bytes(8))
    move.path = path
    return move


def year_of(response) -> float:
    """How far the response's Date is from ours, in years."""
    date = email.utils.parsedate_to_datetime(response.get("Date")).timestamp()
    return (date - time.time()) / YEAR


@pytest.mark.parametrize("years", [3, -3])
def test_limits_do_not_follow_the_wall_clock(serve, dial, shim, wall, years):
    env = {"LD_PRELOAD": str(shim), "WALL_CLOCK_SHIFT": str(wall.path)}
    options = ["--keep-alive", "600", "--timeout", "600", "--client-head-timeout", "3"]
    server = serve("hello", *options, workers=1, env=env)
    workers = server.workers()
    idle = dial(server)
    idle.get()
    slow = dial(server)
    slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n")

    wall(years * YEAR)

    # The server has seen the other time; none of the limits of 600 seconds took it for its end.
    def has_seen() -> bool:
        response = dial(server).get()
        assert response.status == 200
        return abs(year_of(response) - years) < 0.1

    eventually(has_seen)
    assert idle.get().status == 200
    assert server.workers() == workers
    # And the limit of three seconds ends, though the clock may say that it never began.
    assert slow.response().status == 408
    assert slow.closed_by_server()
