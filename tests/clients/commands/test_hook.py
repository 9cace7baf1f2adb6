"""clients/commands/hook.py with real processes."""

import sys
import time
from pathlib import Path

import pytest

from clients.commands import hook as module
from clients.commands.hook import DetectionHook

EVENT = {"type": "detection", "label": "yes", "score": 0.93, "audio_time_s": 1.5, "lag_ms": 120.5}
WRITE = "import os, sys; open(sys.argv[1], 'a').write(' '.join(v for k, v in sorted(os.environ.items()) if k in {}))"


def problems_of(hook: DetectionHook) -> list[str]:
    """Wait until none runs."""
    problems: list[str] = []
    deadline = time.monotonic() + 20
    while hook.running and time.monotonic() < deadline:
        problems += hook.ended()
        time.sleep(0.01)
    return problems


def test_the_command_gets_the_detection_and_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "$HOME;out"
    names = ("RC_AUDIO_TIME_S", "RC_LABEL", "RC_LAG_MS", "RC_SCORE", "RC_STATUS")
    hook = DetectionHook([sys.executable, "-c", WRITE.format(names), str(out)])
    assert hook.start(EVENT) == []
    assert problems_of(hook) == []
    assert out.read_text() == "1.5 yes 120.5 0.93 final"


def test_nothing_waits_for_it_and_a_limited_number_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNNING", 2)
    hook = DetectionHook([sys.executable, "-c", "import time; time.sleep(60)"])
    begun = time.monotonic()
    assert hook.start(EVENT) == hook.start(EVENT) == []
    assert hook.start(EVENT) == ["expected at most 2 running, got another; not started for yes"]
    assert time.monotonic() - begun < 30
    for run in hook.running:
        run.kill()
    assert problems_of(hook) == ["expected exit status 0, got -9"] * 2


def test_a_failure_is_reported(tmp_path: Path) -> None:
    hook = DetectionHook([sys.executable, "-c", "raise SystemExit(3)"])
    hook.start(EVENT)
    assert problems_of(hook) == ["expected exit status 0, got 3"]
    assert DetectionHook([str(tmp_path / "none")]).start(EVENT) == [
        f"expected to run {tmp_path / 'none'}, got: No such file or directory"
    ]


def test_a_label_that_no_environment_can_hold_is_a_problem() -> None:
    hook = DetectionHook([sys.executable, "-c", ""])
    assert hook.start({**EVENT, "label": "a\0b"}) == [f"expected to run {sys.executable}, got: embedded null byte"]
