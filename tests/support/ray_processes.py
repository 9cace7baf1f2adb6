"""The processes that Ray starts below one that connects to a cluster of its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

WAIT_S = 120.0  # Ray takes several seconds to start, more on a machine that has other work


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
