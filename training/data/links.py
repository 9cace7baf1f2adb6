"""Links to recordings, so that a folder for one run is laid out without copying."""

import shutil
from pathlib import Path


def link(path: Path, place: Path) -> None:
    """A symbolic link at `place` to a file, or a copy where links cannot be made; one that is there stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.exists():
        return
    try:
        place.symlink_to(path.resolve())
    except OSError:  # Windows, without the right to
        shutil.copyfile(path, place)
