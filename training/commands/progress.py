"""A progress bar for downloads."""

from collections.abc import Callable
from pathlib import Path

from rich.progress import DownloadColumn, Progress, TransferSpeedColumn


def fetch_with_bar(name: str, fetch: Callable[..., Path], folder: Path) -> None:
    with Progress(*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn()) as bars:
        task = bars.add_task(name)
        fetch(folder, progress=lambda done, total: bars.update(task, completed=done, total=total))
