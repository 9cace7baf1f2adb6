"""The Ray cluster that a command uses: at an address, or one of its own on this machine. Needs the extra `ray`."""

from collections.abc import Iterator
from contextlib import contextmanager

import ray

LOCAL = "local"  # the address of a cluster that lasts as long as the command, on this machine
LOCAL_STORE_BYTES = 80 * 2**20  # the least that Ray takes


class ClusterError(Exception):
    """There is no cluster at the address."""


@contextmanager
def cluster(address: str, log_to_driver: bool = True) -> Iterator[None]:
    """Connected to the cluster at `address` while the block lasts. Raises ClusterError where there is none."""
    options = {"include_dashboard": False, "object_store_memory": LOCAL_STORE_BYTES} if address == LOCAL else {}
    try:
        ray.init(address, log_to_driver=log_to_driver, **options)
    except (ConnectionError, ValueError) as error:
        raise ClusterError(f"expected a Ray cluster at {address}, got: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()
