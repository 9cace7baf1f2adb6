"""Section 3.2 of the paper, figure 2: which of two means a noisy sequence has, rank coding against the last step.

Beside the paper's runs, two that learn at all steps, alike or by certainty, and shorter ones that continue with a
falling learning rate: from these, and from the rank-coded network with an entropy term and with a training threshold
drawn for each sequence. All are compared with the optimal sequential test, by one threshold and by thresholds that
fall.
"""

from collections.abc import Callable, Mapping, Sequence
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
THETAS = [round(1 - gap, 5) for gap in np.geomspace(0.4, 0.0005, 32)]  # thresholds at inference
COSTS = np.geomspace(0.05, 0.00001, 30)  # accuracy that a step costs, for the falling thresholds
STEPS = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]  # mean steps at which curves are compared
BETAS = (0.0, 0.1, 0.2)
BEST = "rc, best of β"
SEED = 20_000  # seed of the test sequences


@dataclass(frozen=True)
class StepPoint(Record):
    """Accuracy at a mean 1-based step of the answer."""

    accuracy: float
    mean_step: float
    theta: float | None = None  # None where thresholds differ from step to step


@dataclass(frozen=True)
class TwoSequenceFigures(Record):
    """Outputs of a network or of the optimal test: at 0.95, over thresholds, by falling thresholds, cut at a step."""

    spike: ToyScore
    curve: list[StepPoint]
    falling: list[StepPoint]  # a threshold per step, fitted to the outputs on other sequences
    cut: list[float]  # accuracy of the outputs at each step


# Ways of stopping
ONE, FALLING = "one threshold", "falling thresholds"
WAYS: dict[str, Callable[[TwoSequenceFigures], list[StepPoint]]] = {
    ONE: lambda measured: measured.curve,
    FALLING: lambda measured: measured.falling,
}
AtSteps = list[float | None]  # accuracy at each of STEPS; None where a curve does not reach


@dataclass(frozen=True)
class TwoSequenceComparison(Record):
    """Everything at the same mean steps, and how far below each bound an accuracy falls at most."""

    steps: list[int]
    accuracy: dict[str, dict[str, list[AtSteps]]]  # way of stopping -> name -> seed
    limit: dict[str, AtSteps]  # way of stopping
    farthest: dict[str, dict[str, list[float | None]]]  # name -> way of stopping of the limit -> seed, by one threshold


@dataclass(frozen=True)
class TwoSequenceResult(Record):
    measured: Provenance
    sequences: int
    seeds: int
    runs: dict[str, list[RunResult[ToyRow, TwoSequenceFigures]]]
    limit: TwoSequenceFigures
    compared: TwoSequenceComparison


def run(quick: bool, seeds: int, out: Path, command: str) -> TwoSequenceResult:
    """Train in `out`/runs what is not there yet, and measure."""
    count = QUICK_SEQUENCES if quick else SEQUENCES
    settings = [settings for seed in range(seeds) for settings in runs_of(seed, quick)]
    results = run_all(partial(train, draw=two_sequence), partial(measure, count=count), settings, out / "runs")
    runs, limit = by_name(results), limit_of(count)
    measured = {name: [result.figures for result in group] for name, group in runs.items()}
    return TwoSequenceResult(provenance(command, 0), count, seeds, runs, limit, compare_curves(measured, limit))


def runs_of(seed: int, quick: bool) -> list[ToySettings]:
    """The runs of one seed: the paper's two, one on all steps, then those that continue."""
    size: dict[str, Any] = {**(QUICK if quick else FULL), "seed": seed}
    theta_low = QUICK_THETA_LOW if quick else THETA
    rc = ToySettings("rc", TrainingMethod.RC, theta_low=theta_low, retain=True, **size)
    all_steps = ToySettings("all steps", TrainingMethod.ALL_STEPS, **size)
    certainty = ToySettings("certainty", TrainingMethod.CERTAINTY, **size)
    more = {**size, "examples": QUICK_MORE if quick else MORE, "falling_rate": True}
    from_rc = {**more, "initial_run": rc, "method": rc.method}
    return [
        rc,
        ToySettings("eos", TrainingMethod.EOS, retain=True, **size),
        all_steps,
        certainty,
        *(ToySettings(f"rc beta {beta}", beta=beta, **from_rc) for beta in BETAS),
        ToySettings("rc drawn thresholds", theta_low=0.6, theta=0.999, **from_rc),
        ToySettings("all steps more", TrainingMethod.ALL_STEPS, initial_run=all_steps, **more),
        ToySettings("certainty more", TrainingMethod.CERTAINTY, initial_run=certainty, **more),
    ]


def draw_test_sequences(count: int) -> tuple[Floats, Integers]:
    """The same for every network and for the optimal test."""
    return two_sequence(count, np.random.default_rng(SEED))


def draw_other_sequences(count: int) -> Floats:
    """Those that falling thresholds are fitted to."""
    return two_sequence(count // 2, np.random.default_rng(SEED + 1))[0]


def measure(network: SequenceNetwork, count: int) -> TwoSequenceFigures:
    sequences, labels = draw_test_sequences(count)
    return figures(probabilities(network, sequences), labels, probabilities(network, draw_other_sequences(count)))


def limit_of(count: int) -> TwoSequenceFigures:
    """The optimal sequential test."""
    sequences, labels = draw_test_sequences(count)
    other = two_sequence_posterior(draw_other_sequences(count))
    return figures(two_sequence_posterior(sequences), labels, other)


def figures(probability: Floats, labels: Integers, other: Floats) -> TwoSequenceFigures:
    """Of outputs [sequences, steps], by falling thresholds that are fitted to `other` outputs."""
    falling = [falling_thresholds(other, cost) for cost in COSTS]
    return TwoSequenceFigures(
        spike=score(probability, labels),
        curve=[point(answers(probability, theta), labels, theta) for theta in THETAS],
        falling=[point(answers(probability, thetas), labels) for thetas in falling],
        cut=[float(value) for value in ((probability >= 0.5) == labels[:, None]).mean(axis=0)],
    )


def point(answered: ToyAnswers, labels: Integers, theta: float | None = None) -> StepPoint:
    return StepPoint(float((answered.label == labels).mean()), float(answered.step.mean() + 1), theta)


def accuracy_at(curve: Sequence[StepPoint]) -> AtSteps:
    """Accuracy at the mean steps STEPS, between the points of a curve; None where it does not reach."""
    ordered = sorted(curve, key=lambda point: point.mean_step)
    mean_step, accuracy = np.array([point.mean_step for point in ordered]), np.array([p.accuracy for p in ordered])
    values = np.interp(np.array(STEPS, np.float64), mean_step, accuracy, left=np.nan, right=np.nan)
    return [None if np.isnan(value) else float(value) for value in values]


def compare_curves(
    measured: Mapping[str, Sequence[TwoSequenceFigures]], limit: TwoSequenceFigures
) -> TwoSequenceComparison:
    """Every kind of run, and the best β, at the same mean steps."""
    accuracy = {way: with_best(by_way(measured, way)) for way in WAYS}
    bounds = {way: accuracy_at(curve_of(limit)) for way, curve_of in WAYS.items()}
    gaps = {
        name: {bound: [farthest(values, seed) for seed in group] for bound, values in bounds.items()}
        for name, group in accuracy[ONE].items()
    }
    return TwoSequenceComparison(STEPS, accuracy, bounds, gaps)


def by_way(measured: Mapping[str, Sequence[TwoSequenceFigures]], way: str) -> dict[str, list[AtSteps]]:
    return {
        name: [accuracy_at(WAYS[way](figures_of_seed)) for figures_of_seed in group] for name, group in measured.items()
    }


def with_best(at: dict[str, list[AtSteps]]) -> dict[str, list[AtSteps]]:
    """With the composite curve of all β, chosen at each mean step."""
    entropy = [at[f"rc beta {beta}"] for beta in BETAS] + [at["rc"]]
    composite = [[best(values) for values in zip(*seed, strict=True)] for seed in zip(*entropy, strict=True)]
    return {**at, BEST: composite}


def best(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def farthest(bound: Sequence[float | None], values: Sequence[float | None]) -> float | None:
    """How far below the bound accuracy falls at most, over the mean steps that both reach."""
    return best([most - value for most, value in zip(bound, values, strict=True) if most and value])
