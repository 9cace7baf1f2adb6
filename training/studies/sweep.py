"""rc-train sweep: the runs of a space side by side on Ray Tune, the worse ones stopped early. Needs the extra `ray`.

A run has the folder and checkpoints of `rc-train speech`, and resumes from them whether it was the run, its machine or
the sweep that ended. Tune keeps the list of runs and decides which ones to stop.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from service.commands.ray_cluster import ClusterError, cluster
from training.data.recordings import LoadedClips, read_split
from training.data.sources import DataSources
from training.data.training_data import TrainingData, build_training_data, read_training_splits
from training.errors import TrainingError
from training.evaluation.calibration import enough_validation_clips, export_run
from training.evaluation.operating_points import THRESHOLDS, TimedAccuracy, accuracy_at
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import train
from training.learning.run import TrainingRun
from training.learning.settings import RunSettings
from training.learning.validation import posteriors, spike_points
from training.recipe import Recipe, pick_device
from training.reports.provenance import Provenance
from training.studies.rc_vs_eos import run_curve
from training.studies.sweep_report import SweepResult, SweepRun, sweep_result

MEASURED = "measured.json"  # in the folder of a run that was trained to its end
FIRST_LOOK = 0.25  # share of the epochs after which a run may be stopped, the first time
REDUCTION = 2  # one run in this many goes on after each look; the next look comes after this many times the epochs
MAX_FAILURES = 3  # failures that a run resumes from


@dataclass(frozen=True)
class Sweep:
    """What all runs share. Paths are absolute, as every run has a working directory of its own."""

    recipes: Mapping[str, Recipe]  # by the name of the run
    sources: DataSources
    speeds: Mapping[str, float]
    out: Path
    device: str = "auto"

    def folder(self, name: str) -> Path:
        """The folder of a run."""
        return self.out / "runs" / name

    def checkpoint(self, name: str, validation: LoadedClips) -> Path:
        """What is measured and exported of a run, as `rc-train speech` chooses it."""
        chosen = enough_validation_clips(validation, self.recipes[name].labels)
        return self.folder(name) / ("best.pt" if chosen else "last.pt")


def run(sweep: Sweep, address: str, gpus: float, measured: Provenance) -> SweepResult:
    """Train what is not trained yet, compare all runs, and export the best of each speed to `out`/models."""
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # it would return as if all runs were done
    try:
        with cluster(address, log_to_driver=False):
            results = open_tuner(sweep, gpus).fit()
    except ClusterError as error:
        raise TrainingError(str(error)) from error
    if results.errors:
        raise TrainingError(f"{len(results.errors)} runs failed, rerun to resume them; the first: {results.errors[0]}")
    validation = read_split(sweep.sources.recordings, "validation")
    result = sweep_result(read_runs(sweep), len(validation.clips), sweep.speeds, measured)
    for name in {point.run for point in result.best.values()}:
        export_run(sweep.checkpoint(name, validation), sweep.sources, validation, sweep.out / "models" / name)
    return result


def open_tuner(sweep: Sweep, gpus: float) -> tune.Tuner:
    """Tune with the runs of an earlier call, or with all of them to do."""
    trainable = tune.with_resources(tune.with_parameters(train_run, sweep=sweep), {"cpu": 1, "gpu": gpus})
    folder = str(sweep.out / "tune")
    if tune.Tuner.can_restore(folder):
        return tune.Tuner.restore(folder, trainable, resume_errored=True)
    epochs = max(recipe.epochs for recipe in sweep.recipes.values())
    scheduler = ASHAScheduler(
        "epoch", "accuracy", "max", max_t=epochs + 1, grace_period=max(1, round(FIRST_LOOK * epochs)),
        reduction_factor=REDUCTION,
    )  # fmt: skip
    return tune.Tuner(
        trainable,
        param_space={"run": tune.grid_search(list(sweep.recipes))},
        tune_config=tune.TuneConfig(scheduler=scheduler),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(sweep.out), failure_config=tune.FailureConfig(MAX_FAILURES), verbose=1
        ),
    )


def train_run(config: Mapping[str, str], sweep: Sweep) -> None:
    """One run, in a process of its own: train to the end and measure. Tune may stop it after any epoch."""
    torch.set_num_threads(1)
    name = config["run"]
    recipe, folder = sweep.recipes[name], sweep.folder(name)
    if (folder / MEASURED).is_file():
        return  # it ended after Tune had last written its list
    clips, validation = read_training_splits(sweep.sources, recipe.labels)
    data = build_training_data(sweep.sources, recipe.labels, clips, validation)
    settings = recipe.settings(data)
    on_epoch = partial(report_epoch, settings, data, list(sweep.speeds.values()))
    done = train(settings, data, folder, pick_device(sweep.device), (folder / "last.pt").is_file(), on_epoch)
    curve = run_curve(sweep.checkpoint(name, validation), validation)
    SweepRun(name, done.epoch, tuple(curve)).write(folder / MEASURED)


def report_epoch(settings: RunSettings, data: TrainingData, seconds: Sequence[float], run: TrainingRun) -> None:
    """What runs are compared by, whatever their thresholds: validation accuracy at the wanted mean decision times."""
    probabilities = posteriors(run.front_end, run.average.module, data.validation.samples)
    targets = data.validation.targets.to(probabilities.device)
    points = spike_points(settings, probabilities, targets, THRESHOLDS)
    curve = [TimedAccuracy(point.spike_s, point.accuracy) for point in points]
    tune.report({"epoch": run.epoch, "accuracy": float(np.mean(accuracy_at(curve, seconds)))})


def read_runs(sweep: Sweep) -> list[SweepRun]:
    """Every run, with its curve unless it was stopped early."""
    runs = []
    for name in sweep.recipes:
        folder = sweep.folder(name)
        if (folder / MEASURED).is_file():
            runs.append(SweepRun.read(folder / MEASURED))
        else:
            runs.append(SweepRun(name, read_checkpoint(folder / "last.pt")["epoch"]))
    return runs
