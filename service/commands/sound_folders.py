"""The sound files that a command is to read: files as they are named, and all those in and below directories."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.spotting.files import SUFFIXES


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as named; of a directory, its sound files in order of their names, those of linked directories included.

    Every directory is searched once, so a link to a parent does no harm. One that cannot be searched comes itself:
    reading it gives the error for it.
    """
    for path in paths:
        if os.path.isdir(path):  # False, where Path.is_dir raises, for a name that is too long
            yield from _files_below(path)
        else:
            yield path


def _files_below(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not os.path.isdir(path):
            yield path
            continue
        try:
            status = os.stat(path)
            names = sorted(os.listdir(path), reverse=True)
        except OSError:
            yield path
            continue
        if (identity := (status.st_dev, status.st_ino)) not in seen:
            seen.add(identity)
            waiting += [child for name in names if _is_wanted(child := path / name)]


def _is_wanted(path: Path) -> bool:
    """Whether it is a directory or a sound file, or a link to one that is gone; pipes and devices would block."""
    if os.path.isdir(path):
        return True
    return path.suffix.lower() in SUFFIXES and (os.path.isfile(path) or not os.path.exists(path))
