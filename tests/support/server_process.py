"""rc-serve as a process of its own, for tests of what happens to processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.testing import free_port, wait_until_ready


@contextmanager
def command(
    models_dir: Path, *flags: str, log: Path | None = None, model: str = "tones"
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """The process, ready, and its address; its log goes to a file. It is ended with the block."""
    port = free_port()
    arguments = ["--port", str(port), "--models", str(models_dir), "--model", model, *flags]
    with (log or Path("/dev/null")).open("wb") as to:
        process = subprocess.Popen([sys.executable, "-m", "service.commands.serve", *arguments], stderr=to)
        try:
            assert wait_until_ready(process, port)
            yield process, f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=40)


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    """The worker processes: those that multiprocessing spawned to run something."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
