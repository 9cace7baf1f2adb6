"""Section 3.4 of the paper, figures 4 and 5: spoken keywords by rank coding, from the last step, and by two controls.

Beyond the paper: one threshold per tenth of a second and the value of waiting, both fitted on validation, and what an
epoch costs. Owns the runs and their measurements; `speech_study_report` reports them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.data.augment import AugmentSettings
from training.data.labels import Labels
from training.data.recordings import read_split
from training.data.sources import DataSources
from training.data.training_data import ClipSet, TrainingData, clip_set, load_training_data
from training.evaluation.calibration import exported_step
from training.evaluation.operating_points import OperatingPoint, TimedAccuracy, accuracy_at
from training.evaluation.waiting import features_of, first_stop, stops
from training.learning.checkpoint import Checkpoint, read_checkpoint
from training.learning.loop import sampler_of, train
from training.learning.run import EpochMetrics
from training.learning.settings import RunSettings, TrainingMethod
from training.learning.validation import posteriors
from training.model.network import Network, NetworkSettings
from training.paper.run_pool import RunResult
from training.paper.stopping import BLOCKS, COSTS, NetworkOutputs, curve, fit_waiting, point, point_at, tune
from training.presets import PRESETS
from training.recipe import pick_device
from training.records import Record
from training.reports.provenance import Provenance, provenance
from training.studies.rc_vs_eos import SECONDS

THETA = 0.95
BETAS, EOS_BETAS, QUICK_BETAS = (0.0, 0.1, 0.2, 0.3, 0.4), (0.2, 0.4), (0.0, 0.3)
CONTROL_SEEDS = 1  # seeds of the runs that rank coding is far ahead of, each of which costs as much as EOS
FULL: dict[str, Any] = {"epochs": 10, "batch": 32}
QUICK: dict[str, Any] = {"epochs": 8, "batch": 8, "min_batches": 30, "learning_rate": 4e-3}
QUICK_NETWORK = NetworkSettings(labels=0, channels=(8, 16), stride=2, inputs=48, hidden=32, dense=32)
QUICK_CLIPS = 1000  # clips per split
AUGMENT = replace(AugmentSettings().at(0.0), shift_s=0.1)  # clips a little earlier or later; the paper mentions none

FLOP_FRAMES = 20  # run to count operations

ONE, BLOCK, WAITING = "one threshold", "by block", "by the value of waiting"  # ways of stopping
BEST = "rc, best β"


@dataclass(frozen=True)
class SplitFigures(Record):
    spike: TimedAccuracy  # at THETA
    curve: list[OperatingPoint]  # one threshold
    by_block: list[TimedAccuracy]  # tuned thresholds, a point per cost
    by_waiting: list[TimedAccuracy]  # the value of waiting, a point per cost

    def way(self, way: str) -> Sequence[TimedAccuracy]:
        ways: dict[str, Sequence[TimedAccuracy]] = {ONE: self.curve, BLOCK: self.by_block, WAITING: self.by_waiting}
        return ways[way]


@dataclass(frozen=True)
class StudyFigures(Record):
    weights: str  # the checkpoint that was measured, best or last
    blocks: list[list[float]]  # thresholds, per cost
    validation: SplitFigures
    test: SplitFigures


StudyRun = RunResult[EpochMetrics, StudyFigures]
AtSeconds = dict[str, list[list[float]]]  # name -> seed -> accuracy at each of SECONDS


@dataclass(frozen=True)
class StudyResult(Record):
    measured: Provenance
    data: str
    keywords: list[str]
    epoch_clips: int
    test_clips: int
    seeds: int
    flop_per_step: float
    runs: dict[str, list[StudyRun]]
    seconds: list[float]
    compared: dict[str, AtSeconds]  # way of stopping


def run(
    folder: Path, keywords: Sequence[str], device: str, quick: bool, seeds: int, out: Path, command: str
) -> StudyResult:
    """`rc-train speech --study`: train in `out`/runs what is not there yet, and measure."""
    torch.set_num_threads(1)  # so that CPU seconds count work, not threads that wait for each other
    labels = Labels(tuple(keywords))
    data, test = read(folder, labels, quick)
    results: dict[str, list[StudyRun]] = {}
    for seed in range(seeds):
        for name, settings in runs_of(labels, seed, quick).items():
            print(f"{name}, seed {seed}")
            here = out / "runs" / f"{name} seed {seed}"
            done = train(settings, data, here, pick_device(device), resume=(here / "last.pt").exists())
            result = RunResult(settings.to_dict(), done.history, measure(here, data.validation, test))
            results.setdefault(name, []).append(result)
    return StudyResult(
        measured=provenance(command, 0),
        data=data.about,
        keywords=list(labels.keywords),
        epoch_clips=sampler_of(settings, data).batches * settings.batch,
        test_clips=len(test.targets),
        seeds=seeds,
        flop_per_step=flop_per_step(settings),
        runs=results,
        seconds=SECONDS,
        compared={way: compare_at_seconds(results, way) for way in (ONE, BLOCK, WAITING)},
    )


def read(folder: Path, labels: Labels, quick: bool) -> tuple[TrainingData, ClipSet]:
    """Training and validation data and the test clips."""
    data = load_training_data(DataSources(folder), labels)
    clips = read_split(folder, "test")
    test = clip_set(clips, labels)
    data = data._replace(about=f"{data.about}; {clips.describe('test')}")
    if not quick:
        return data, test
    return data._replace(train=thinned(data.train), validation=thinned(data.validation)), thinned(test)


def thinned(clips: ClipSet) -> ClipSet:
    """About QUICK_CLIPS of them, of all words."""
    every = max(1, len(clips.targets) // QUICK_CLIPS)
    return ClipSet(clips.samples[::every], clips.targets[::every])


def runs_of(labels: Labels, seed: int, quick: bool) -> dict[str, RunSettings]:
    """The runs of one seed by name: Algorithm 1 as published for every β, and the others; all controls of few seeds."""
    betas, eos_betas, size = (QUICK_BETAS, (), QUICK) if quick else (BETAS, EOS_BETAS, FULL)
    front_end, network = PRESETS["paper"]
    common = RunSettings(
        labels, replace(QUICK_NETWORK if quick else network, labels=len(labels)), front_end, AUGMENT,
        theta=THETA, theta_low=THETA, patience=size["epochs"], seed=seed, streams=False, carry_share=0.0, **size,
    )  # fmt: skip
    rc, eos = TrainingMethod.RC, TrainingMethod.EOS
    others = (eos, TrainingMethod.ALL_STEPS, TrainingMethod.CERTAINTY)
    kinds = [*((rc, beta) for beta in betas), *((method, 0.0) for method in others)]
    if seed < CONTROL_SEEDS:
        kinds += [*((eos, beta) for beta in eos_betas), (TrainingMethod.MAX_POOL, 0.0)]
    return {
        f"{method} beta {beta}" if beta or method is rc else str(method): replace(common, method=method, beta=beta)
        for method, beta in kinds
    }


def flop_per_step(settings: RunSettings) -> float:
    """Floating-point operations of one sequence and step, forward and backward.

    In double precision, as torch's counter does not see into its LSTM in single precision.
    """
    network = Network(settings.network).double()
    features = torch.zeros(1, FLOP_FRAMES, settings.network.bands).double()
    state = {name: value.double() for name, value in network.initial_state(1).items()}
    with FlopCounterMode(display=False) as counter:
        network(features, state)[0].sum().backward()
    return counter.get_total_flops() * settings.network.stride / FLOP_FRAMES


def measure(folder: Path, validation: ClipSet, test: ClipSet) -> StudyFigures:
    """Curves on both splits by one threshold and by thresholds per block, tuned on validation; test is run once.

    Of the weights with the most accurate spikes at THETA on validation, as in the paper, or of the last ones where
    their whole curve there is better: the best at one threshold need not be the best at others.
    """
    saved = {name: read_checkpoint(folder / f"{name}.pt") for name in ("best", "last")}
    outputs = {name: run_network(checkpoint, validation) for name, checkpoint in saved.items()}
    chosen = max(outputs, key=lambda name: np.mean(accuracy_at(curve(outputs[name]), SECONDS)))
    tuned = [tune(outputs[chosen], cost) for cost in COSTS]
    waits = fit_waiting(outputs[chosen])
    return StudyFigures(
        weights=chosen,
        blocks=[[round(theta, 4) for theta in thetas[:: -(-len(thetas) // BLOCKS)].tolist()] for thetas in tuned],
        validation=split_figures(outputs[chosen], tuned, waits),
        test=split_figures(run_network(saved[chosen], test), tuned, waits),
    )


def split_figures(outputs: NetworkOutputs, tuned: Sequence[Tensor], waits: Sequence[Tensor]) -> SplitFigures:
    return SplitFigures(
        point(outputs, THETA),
        curve(outputs),
        [point(outputs, thetas) for thetas in tuned],
        [point_at(outputs, first_stop(stops(outputs.features, weights))) for weights in waits],
    )


def run_network(saved: Checkpoint, clips: ClipSet) -> NetworkOutputs:
    """Max-pooling trains the other labels at every step, the first too, so only its keywords may spike."""
    step = exported_step(saved)
    settings = RunSettings.from_dict(saved["settings"])
    outputs = posteriors(step.front_end, step.network, clips.samples)
    is_max_pool = settings.method is TrainingMethod.MAX_POOL
    spiking = outputs[..., : len(settings.labels.keywords)] if is_max_pool else outputs
    keywords = len(settings.labels.keywords)
    features = features_of(outputs, keywords, settings.step_s)
    return NetworkOutputs(spiking.amax(2), outputs.argmax(2) == clips.targets[:, None], settings.step_s, features)


def compare_at_seconds(results: Mapping[str, Sequence[StudyRun]], way: str) -> AtSeconds:
    """Test accuracy at the mean times SECONDS, per seed: of the best β, and of every kind of run."""
    at = {name: [accuracy_at(run.figures.test.way(way), SECONDS) for run in group] for name, group in results.items()}
    rc = [group for name, group in results.items() if name.startswith("rc")]
    return {BEST: [best_beta([run.figures for run in seed], way) for seed in zip(*rc, strict=True)], **at}


def best_beta(seed: Sequence[StudyFigures], way: str) -> list[float]:
    """The composite curve of a seed's rank-coded runs: at each mean time the one that is best on validation."""
    validation = np.array([accuracy_at(figures.validation.way(way), SECONDS) for figures in seed])
    test = np.array([accuracy_at(figures.test.way(way), SECONDS) for figures in seed])
    return [float(value) for value in test[validation.argmax(axis=0), np.arange(len(SECONDS))]]
