"""Tests that start Ray, which takes too long for every run, and the processes that it starts."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

starts_ray = pytest.mark.skipif(not os.environ.get("RC_RAY_TESTS"), reason="starts Ray for a minute: RC_RAY_TESTS=1")
WAIT_S = 240.0  # Ray takes several seconds to start, more on a machine that has other work


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Ended with the block, with what it started."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def ray_workers(parent: int, name: str) -> list[int]:
    """Workers below a process that run an actor, or a task, of this name."""
    title = f"ray::{name}".encode()
    return [pid for pid in _descendants(parent) if _read(f"/proc/{pid}/cmdline").startswith(title)]


def wait_for(is_so: Callable[[], object]) -> None:
    """Wait until it is so, for at most WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"expected it within {WAIT_S:g} s"
        time.sleep(0.05)


def _descendants(parent: int) -> Iterator[int]:
    for pid in map(int, _read(f"/proc/{parent}/task/{parent}/children").split()):
        yield pid
        yield from _descendants(pid)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # the process has ended
        return b""
