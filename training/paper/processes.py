"""Processes that end with the one that started them. Loads no torch: a process that only waits does not need it."""

import os
import threading
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess


def exit_with_parent() -> None:
    """End this process when its parent does: a killed parent cannot ask for it, and its runs will be started again."""
    if (parent := parent_process()) is not None:
        threading.Thread(target=exit_after, args=(parent,), daemon=True).start()


def exit_after(process: BaseProcess) -> None:
    """Wait for the end of another process, then end this one at once."""
    process.join()
    os._exit(1)
