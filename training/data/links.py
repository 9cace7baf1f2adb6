"""Links to recordings, so that a folder for one run is laid out without copying."""

import shutil
from pathlib import Path


def link(path: Path, link: Path) -> None:
    """A symbolic link to a file, or a copy where links cannot be made; one that is there stays."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() or link.exists():
        return
    try:
        link.symlink_to(path.resolve())
    except OSError:  # Windows, without the right to
        shutil.copyfile(path, link)
