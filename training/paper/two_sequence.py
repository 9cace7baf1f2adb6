"""Section 3.2 of the paper, figure 2: which of two means a noisy sequence has, rank coding against the last step.

Beside the paper's runs, shorter ones that continue from its rank-coded network with a falling learning rate: with an
entropy term, and with a training threshold drawn for each sequence. All are compared with the optimal sequential test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.learning.settings import TrainingMethod
from training.paper.run_pool import RunResult, by_name, run_all
from training.paper.sequences import Floats, Integers, falling_thresholds, two_sequence, two_sequence_posterior
from training.paper.toy import (
    THETA,
    SequenceNetwork,
    ToyAnswers,
    ToyRow,
    ToyScore,
    ToySettings,
    answers,
    probabilities,
    score,
    train,
)
from training.records import Record
from training.reports.provenance import Provenance, provenance

SEQUENCES, QUICK_SEQUENCES = 100_000, 4000  # to test on
FULL = {"examples": 2_000_000}
QUICK = {"examples": 30_000, "hidden": 24, "learning_rate": 0.01, "clip_norm": 0.1, "forget_bias": 1.0}
QUICK_THETA_LOW = 0.6  # trained at 0.95 alone, some runs answer at the last step until they are nearly over
MORE, QUICK_MORE = 125_000, 8_000  # examples of a run that continues from another
THETAS = [round(1 - gap, 5) for gap in np.geomspace(0.4, 0.0005, 32)]  # at inference
COSTS = np.geomspace(0.05, 0.00001, 30)  # of a step, in accuracy, for the falling thresholds
STEPS = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]  # mean steps at which curves are compared
BETAS = (0.0, 0.1, 0.2)
BEST = "rc, best of β"
SEED = 20_000  # of the test sequences


@dataclass(frozen=True)
class StepPoint(Record):
    """Accuracy at a mean 1-based step of the answer."""

    accuracy: float
    mean_step: float
    theta: float | None = None  # None where thresholds differ from step to step


@dataclass(frozen=True)
class TwoSequenceFigures(Record):
    """Outputs of a network or of the optimal test: at 0.95, over thresholds, cut at a step."""

    spike: ToyScore
    curve: list[StepPoint]
    cut: list[float]  # accuracy of the outputs at each step


@dataclass(frozen=True)
class TwoSequenceLimit(TwoSequenceFigures):
    """The optimal sequential test, by one threshold and by falling ones."""

    falling: list[StepPoint]


AtSteps = list[float | None]  # accuracy at each of STEPS; None where a curve does not reach


@dataclass(frozen=True)
class TwoSequenceComparison(Record):
    """Everything at the same mean steps, and how far below each bound an accuracy falls at most."""

    steps: list[int]
    accuracy: dict[str, list[AtSteps]]  # name -> seed
    limit: dict[str, AtSteps]
    farthest: dict[str, dict[str, list[float | None]]]  # name -> bound -> seed


@dataclass(frozen=True)
class TwoSequenceResult(Record):
    measured: Provenance
    sequences: int
    seeds: int
    runs: dict[str, list[RunResult[ToyRow, TwoSequenceFigures]]]
    limit: TwoSequenceLimit
    compared: TwoSequenceComparison


def run(quick: bool, seeds: int, out: Path, command: str) -> TwoSequenceResult:
    """Train in `out`/runs what is not there yet, and measure."""
    count = QUICK_SEQUENCES if quick else SEQUENCES
    settings = [settings for seed in range(seeds) for settings in runs_of(seed, quick)]
    results = run_all(partial(train, draw=two_sequence), partial(measure, count=count), settings, out / "runs")
    runs, limit = by_name(results), limit_of(count)
    curves = {name: [result.figures.curve for result in group] for name, group in runs.items()}
    return TwoSequenceResult(provenance(command, 0), count, seeds, runs, limit, compare_curves(curves, limit))


def runs_of(seed: int, quick: bool) -> list[ToySettings]:
    """The runs of one seed: the paper's two, then those that continue from its rank-coded one."""
    size: dict[str, Any] = QUICK if quick else FULL
    theta_low = QUICK_THETA_LOW if quick else THETA
    rc = ToySettings("rc", TrainingMethod.RC, seed=seed, theta_low=theta_low, retain=True, **size)
    more = {**size, "examples": QUICK_MORE if quick else MORE, "initial_run": rc, "method": rc.method, "seed": seed}
    return [
        rc,
        ToySettings("eos", TrainingMethod.EOS, seed=seed, retain=True, **size),
        *(ToySettings(f"rc beta {beta}", beta=beta, **more) for beta in BETAS),
        ToySettings("rc drawn thresholds", theta_low=0.6, theta=0.999, **more),
    ]


def draw_test_sequences(count: int) -> tuple[Floats, Integers]:
    """The same for every network and for the optimal test."""
    return two_sequence(count, np.random.default_rng(SEED))


def measure(network: SequenceNetwork, count: int) -> TwoSequenceFigures:
    sequences, labels = draw_test_sequences(count)
    return figures(probabilities(network, sequences), labels)


def figures(probability: Floats, labels: Integers) -> TwoSequenceFigures:
    """Of outputs [sequences, steps]."""
    return TwoSequenceFigures(
        spike=score(probability, labels),
        curve=[point(answers(probability, theta), labels, theta) for theta in THETAS],
        cut=[float(value) for value in ((probability >= 0.5) == labels[:, None]).mean(axis=0)],
    )


def point(answered: ToyAnswers, labels: Integers, theta: float | None = None) -> StepPoint:
    return StepPoint(float((answered.label == labels).mean()), float(answered.step.mean() + 1), theta)


def limit_of(count: int) -> TwoSequenceLimit:
    """The optimal sequential test: by one threshold, and by thresholds that fall, fitted on sequences of their own."""
    sequences, labels = draw_test_sequences(count)
    posterior = two_sequence_posterior(sequences)
    separate = two_sequence_posterior(two_sequence(count // 2, np.random.default_rng(SEED + 1))[0])
    falling = [point(answers(posterior, falling_thresholds(separate, cost)), labels) for cost in COSTS]
    return TwoSequenceLimit(**vars(figures(posterior, labels)), falling=falling)


def accuracy_at(curve: Sequence[StepPoint]) -> AtSteps:
    """Accuracy at the mean steps STEPS, between the points of a curve; None where it does not reach."""
    ordered = sorted(curve, key=lambda point: point.mean_step)
    mean_step, accuracy = np.array([point.mean_step for point in ordered]), np.array([p.accuracy for p in ordered])
    values = np.interp(np.array(STEPS, np.float64), mean_step, accuracy, left=np.nan, right=np.nan)
    return [None if np.isnan(value) else float(value) for value in values]


def compare_curves(
    curves: Mapping[str, Sequence[Sequence[StepPoint]]], limit: TwoSequenceLimit
) -> TwoSequenceComparison:
    """Every kind of run, and the best β, at the same mean steps."""
    at = {name: [accuracy_at(curve) for curve in group] for name, group in curves.items()}
    entropy = [at[f"rc beta {beta}"] for beta in BETAS] + [at["rc"]]
    at[BEST] = [[best(values) for values in zip(*seed, strict=True)] for seed in zip(*entropy, strict=True)]
    bounds = {"one threshold": accuracy_at(limit.curve), "falling thresholds": accuracy_at(limit.falling)}
    gaps = {
        name: {bound: [farthest(values, seed) for seed in group] for bound, values in bounds.items()}
        for name, group in at.items()
    }
    return TwoSequenceComparison(STEPS, at, bounds, gaps)


def best(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def farthest(bound: Sequence[float | None], values: Sequence[float | None]) -> float | None:
    """How far below the bound accuracy falls at most, over the mean steps that both reach."""
    return best([most - value for most, value in zip(bound, values, strict=True) if most and value])
