"""Two workers whose files break while they run, on the real command."""

import os
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.server_process import command, workers_of
from tests.support.tone_model import write_model

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def wait_for_line(log: Path, text: str, times: int = 1) -> None:
    end = time.monotonic() + 60
    while log.read_text().count(text) < times:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_a_worker_that_cannot_start_again_says_why_and_the_other_serves_on(tmp_path: Path) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    model = write_model(models) / "model.onnx"
    with command(models, "--workers", "2", log=log) as (process, address):
        wait_for_line(log, "Application startup complete", 2)
        content = model.read_bytes()
        model.write_bytes(b"broken")
        os.kill(workers_of(process)[0], signal.SIGKILL)
        wait_for_line(log, "a worker cannot start")
        assert "Traceback" not in log.read_text()
        assert httpx.get(f"http://{address}/readyz").status_code == 200
        model.write_bytes(content)
        wait_for_line(log, "Application startup complete", 3)
    assert process.returncode == 0
