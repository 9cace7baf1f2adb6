"""Memory of a training process, measured in processes of their own."""

import subprocess
import sys

import pytest

from training.machine import keep_freed_memory

FAULTS = """
import resource
from training.machine import keep_freed_memory
{first}
def step(): bytearray(40_000_000)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(first: str) -> int:
    """Of five buffers of 40 MB, one after the other."""
    return int(subprocess.check_output([sys.executable, "-c", FAULTS.format(first=first)]))


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_freed_buffers_stay_with_the_process() -> None:
    assert page_faults("keep_freed_memory()") < page_faults("") / 10
