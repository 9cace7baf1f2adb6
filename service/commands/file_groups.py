"""Files in groups that are decoded together: limited in number and in bytes, so that few are ever in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from service.spotting.classify import BATCH

GROUP_BYTES = 16 * 2**20  # on the disk; a larger file goes alone


def groups(files: Iterable[Path]) -> Iterator[list[Path]]:
    """The files, in order, BATCH of them or GROUP_BYTES at a time."""
    group: list[Path] = []
    group_bytes = 0
    for file in files:
        size = size_of(file)
        if group and (len(group) == BATCH or group_bytes + size > GROUP_BYTES):
            yield group
            group, group_bytes = [], 0
        group.append(file)
        group_bytes += size
    if group:
        yield group


def size_of(file: Path) -> int:
    """Bytes of a file; 0 of what is missing, which gets its error when it is read."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
