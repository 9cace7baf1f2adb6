"""A sweep on Ray Tune: stopped, resumed, and what it ends with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.ray_processes import ended, starts_ray, wait_for
from tests.support.toy_dataset import write_words
from training.data.sources import DataSources
from training.learning.checkpoint import read_checkpoint
from training.learning.run import EpochMetrics, history_of
from training.recipe import Recipe
from training.studies.sweep_report import SweepResult, SweepRun

REASON = "needs the extra ray: pip install '.[ray]'"
pytest.importorskip("ray", reason=REASON)
sweep = pytest.importorskip("training.studies.sweep", reason=REASON)


@starts_ray
def test_eight_runs_are_stopped_and_resumed_and_the_best_are_exported(tmp_path: Path) -> None:
    words, out = write_words(tmp_path / "words"), tmp_path / "out"
    command = [sys.executable, "-m", "tests.support.tiny_sweep", str(words), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        with ended(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)) as process:
            wait_for(lambda: process.poll() is not None or [*out.glob("runs/*/last.pt")])
        assert process.returncode == 130, (tmp_path / "log").read_text()
        before = {path: first_epoch(path) for path in out.glob("runs/*/last.pt")}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    assert done.returncode == 0, (tmp_path / "log").read_text()

    assert {path: first_epoch(path) for path in before} == before  # not trained again
    result = SweepResult.read(out / "data.json")
    assert len(result.runs) == 8
    assert {run.epochs for run in result.runs if run.curve} == {6}
    assert any(run.epochs < 6 and not run.curve for run in result.runs)  # most are hopeless, so some stop early
    assert set(result.best) == {"fast", "accurate"}
    for point in result.best.values():
        assert Model(out / "models" / point.run).metadata.keywords == ("up", "down")


def first_epoch(checkpoint: Path) -> EpochMetrics:
    """With the seconds that it took, which no other training of it takes."""
    return history_of(read_checkpoint(checkpoint))[0]


def test_a_run_that_is_measured_is_not_trained_again(tmp_path: Path) -> None:
    done = sweep.Sweep({"done": Recipe(("up",))}, DataSources(tmp_path / "nonesuch"), {}, tmp_path)
    SweepRun("done", 6).write(done.folder("done") / sweep.MEASURED)
    sweep.train_run({"run": "done"}, done)
    assert sweep.read_runs(done) == [SweepRun("done", 6)]
