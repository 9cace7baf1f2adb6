"""A sweep on Ray Tune: stopped, resumed, and what it ends with."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.ray_processes import wait_for
from tests.support.toy_dataset import write_words
from training.studies.sweep_report import SweepResult

pytest.importorskip("ray", reason="needs the extra ray: pip install '.[ray]'")


def test_eight_runs_are_stopped_and_resumed_and_the_best_are_exported(tmp_path: Path) -> None:
    words, out = write_words(tmp_path / "words"), tmp_path / "out"
    command = [sys.executable, "-m", "tests.support.tiny_sweep", str(words), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as process:
            wait_for(lambda: process.poll() is not None or [*out.glob("runs/*/measured.json")])
            process.send_signal(signal.SIGINT)
        assert process.returncode == 130, (tmp_path / "log").read_text()
        before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/measured.json")}
        assert 0 < len(before) < 8
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    assert done.returncode == 0, (tmp_path / "log").read_text()

    assert {path: path.stat().st_mtime_ns for path in before} == before
    result = SweepResult.read(out / "data.json")
    assert len(result.runs) == 8
    trained = {run.name: run.epochs for run in result.runs if run.curve}
    assert set(trained.values()) == {6}
    assert {path.parent.name for path in before} <= set(trained)
    assert any(run.epochs < 6 and not run.curve for run in result.runs)  # none of the hopeless ones needs them all
    assert set(result.best) == {"fast", "accurate"}
    for point in result.best.values():
        assert Model(out / "models" / point.run).metadata.keywords == ("up", "down")
