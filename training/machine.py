"""What the machine gives a training process: processors, and memory that stays with it."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # options of mallopt in malloc.h of glibc
KEPT_BYTES = 1 << 30  # buffers up to this size come from the heap, and as much freed memory stays there


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Keep the large buffers of a step for the next one; returns whether the C library does (glibc alone).

    By default they go back to the system at every step, which clears each page when it is touched again: a fifth to a
    third of the time of an LSTM.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(option, KEPT_BYTES) == 1 for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
    )
