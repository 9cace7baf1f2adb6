import sys
import time
from pathlib import Path

import pytest

from clients.commands import hook as module
from clients.commands.hook import Hook

EVENT = {"type": "detection", "label": "yes", "score": 0.93, "audio_time_s": 1.5, "lag_ms": 120.5}
WRITE = "import os, sys; open(sys.argv[1], 'a').write(' '.join(v for k, v in sorted(os.environ.items()) if k in {}))"


def complaints_of(hook: Hook, running: int = 0) -> list[str]:
    """Wait until no more than so many run."""
    said: list[str] = []
    deadline = time.monotonic() + 20
    while len(hook._running) > running and time.monotonic() < deadline:
        said += hook.ended()
        time.sleep(0.01)
    return said


def test_the_command_is_told_of_the_detection_and_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "$HOME;out"
    names = ("RC_AUDIO_TIME_S", "RC_LABEL", "RC_LAG_MS", "RC_SCORE")
    hook = Hook([sys.executable, "-c", WRITE.format(names), str(out)])
    assert hook.start(EVENT) == []
    assert complaints_of(hook) == []
    assert out.read_text() == "1.5 yes 120.5 0.93"


def test_nobody_waits_for_it_and_only_so_many_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    hook = Hook([sys.executable, "-c", "import time; time.sleep(60)"])
    begun = time.monotonic()
    assert hook.start(EVENT) == hook.start(EVENT) == []
    assert hook.start(EVENT) == ["expected at most 2 running, got another; not started for yes"]
    assert time.monotonic() - begun < 30
    for run in hook._running:
        run.kill()
    assert complaints_of(hook) == ["expected exit status 0, got -9"] * 2


def test_a_failure_is_told(tmp_path: Path) -> None:
    hook = Hook([sys.executable, "-c", "raise SystemExit(3)"])
    hook.start(EVENT)
    assert complaints_of(hook) == ["expected exit status 0, got 3"]
    assert Hook([str(tmp_path / "none")]).start(EVENT) == [
        f"expected to run {tmp_path / 'none'}, got: No such file or directory"
    ]
