"""Section 3.1 of the paper, figure 1: does a sequence of 25 have five equal steps in a row, answered once it is known.

Beside the paper's two runs, two that learn at all steps, alike or by certainty, and shorter ones that continue from
these and from the rank-coded network, that one at a higher threshold: until a class is certain it is up to 15/16 likely
(`spotting_posterior`), which a network hardly distinguishes from the paper's 0.95. And rank coding with one setting
changed at a time. All are compared with the Bayes-optimal observer, who is measured by the same code.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.learning.settings import TrainingMethod
from training.paper.run_pool import RunResult, by_name, run_all
from training.paper.sequences import SPOTTING_STEPS, Floats, Integers, earliest, spotting, spotting_posterior
from training.paper.toy import THETA, SequenceNetwork, ToyRow, ToySettings, answers, probabilities, train
from training.records import Record
from training.reports.provenance import Provenance, provenance

SEQUENCES, QUICK_SEQUENCES = 100_000, 4000  # to test on
FULL = {"examples": 1_500_000}
# By rank coding alone one in twenty small networks never learns more than which label is more frequent, as it learns at
# the last step only until it is certain; none of twenty that begin with the weights of all steps.
QUICK = {"examples": 40_000, "hidden": 32, "learning_rate": 0.01, "clip_norm": 0.1, "forget_bias": 1.0}
# Of the runs that continue, whose learning rate falls to zero
FULL_MORE, QUICK_MORE = {"examples": 750_000, "learning_rate": 1e-3, "clip_norm": 0.25}, {"examples": 40_000}
MORE_THETA = 0.97
# The paper's run of rank coding with one setting changed
DEPARTURES = (
    "rc rate 0.001",
    "rc falling rate",
    "rc clipped",
    "rc twice as long",
    f"rc threshold {MORE_THETA}",
    "rc half after all steps",
)
THETAS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995)  # at inference
SHOWN = 40  # sequences in the figure
SEED = 30_000  # seed of the test sequences; MORE_THETA and the threshold of the report were chosen on others


@dataclass(frozen=True)
class FirstSpikes(Record):
    """Answers by first spike; shares of positives or of negatives are of the sequences of that class."""

    accuracy: float
    positives_at_earliest: float
    positives_late: float
    negatives_before_end: float
    negatives_mean_step: float
    first_is_negative: float
    no_spike: float


@dataclass(frozen=True)
class PositiveSpikes(Record):
    """Answers where negative spikes are ignored: a sequence is negative unless a positive spike comes."""

    accuracy: float
    positives_at_earliest: float
    positives_one_late: float
    positives_later: float


@dataclass(frozen=True)
class SpottingFigures(Record):
    first_spike: FirstSpikes
    at_theta: dict[str, FirstSpikes]
    positive_only: PositiveSpikes
    end_accuracy: float
    shown: list[list[float]]  # outputs [sequences, steps] of the figure


@dataclass(frozen=True)
class SequenceSpottingResult(Record):
    measured: Provenance
    sequences: int
    seeds: int
    runs: dict[str, list[RunResult[ToyRow, SpottingFigures]]]
    limit: SpottingFigures
    shown: list[list[int]]  # sequences [sequences, steps] of the figure


def run(quick: bool, seeds: int, out: Path, command: str) -> SequenceSpottingResult:
    """Train in `out`/runs what is not there yet, and measure."""
    count = QUICK_SEQUENCES if quick else SEQUENCES
    runs = [settings for seed in range(seeds) for settings in runs_of(seed, quick)]
    results = run_all(partial(train, draw=spotting), partial(measure, count=count), runs, out / "runs")
    sequences, labels = draw_test_sequences(count)
    return SequenceSpottingResult(
        measured=provenance(command, 0),
        sequences=count,
        seeds=seeds,
        runs=by_name(results),
        limit=figures(spotting_posterior(sequences), sequences, labels),
        shown=sequences[:SHOWN].astype(int).tolist(),
    )


def runs_of(seed: int, quick: bool) -> list[ToySettings]:
    """The runs of one seed: the paper's two, one on all steps, and those that continue."""
    size: dict[str, Any] = {**(QUICK if quick else FULL), "seed": seed}
    more = {**size, **(QUICK_MORE if quick else FULL_MORE), "falling_rate": True}
    all_steps = ToySettings("all steps", TrainingMethod.ALL_STEPS, **size)
    rc = ToySettings("rc", TrainingMethod.RC, initial_run=all_steps if quick else None, falling_rate=quick, **size)
    certainty = ToySettings("certainty", TrainingMethod.CERTAINTY, **size)
    return [
        all_steps,
        rc,
        ToySettings("eos", TrainingMethod.EOS, **size),
        certainty,
        ToySettings("rc more", rc.method, initial_run=rc, theta=MORE_THETA, theta_low=MORE_THETA, **more),
        ToySettings("all steps more", all_steps.method, initial_run=all_steps, **more),
        ToySettings("certainty more", certainty.method, initial_run=certainty, **more),
        *([] if quick else departures(rc)),
    ]


def departures(rc: ToySettings) -> list[ToySettings]:
    """The paper's run of rank coding with one setting changed at a time, and the run that one of them begins with."""
    half = rc.examples // 2
    all_steps = replace(rc, name="half all steps", method=TrainingMethod.ALL_STEPS, examples=half)
    changes: list[dict[str, Any]] = [
        {"learning_rate": 0.001},
        {"falling_rate": True},
        {"clip_norm": 0.25},
        {"initial_run": rc},
        {"theta": MORE_THETA, "theta_low": MORE_THETA},
        {"initial_run": all_steps, "examples": half},
    ]
    changed = (replace(rc, name=name, **change) for name, change in zip(DEPARTURES, changes, strict=True))
    return [all_steps, *changed]


def draw_test_sequences(count: int) -> tuple[Floats, Integers]:
    """The same for every network and for the optimal observer."""
    return spotting(count, np.random.default_rng(SEED))


def measure(network: SequenceNetwork, count: int) -> SpottingFigures:
    sequences, labels = draw_test_sequences(count)
    return figures(probabilities(network, sequences), sequences, labels)


def figures(probability: Floats, sequences: Floats, labels: Integers) -> SpottingFigures:
    """Of outputs [sequences, steps]: by first spike at each threshold, by positive spikes only, at the end."""
    due = earliest(sequences)
    return SpottingFigures(
        first_spike=first_spikes(probability, due, labels, THETA),
        at_theta={str(theta): first_spikes(probability, due, labels, theta) for theta in THETAS},
        positive_only=positive_only(probability, due, labels),
        end_accuracy=float(((probability[:, -1] >= 0.5) == labels).mean()),
        shown=probability[:SHOWN].round(3).tolist(),
    )


def first_spikes(probability: Floats, due: Integers, labels: Integers, theta: float) -> FirstSpikes:
    """Accuracy, and when the first spike comes: of positives against the step `due`, of negatives before the end."""
    answered = answers(probability, theta)
    positive, spike = labels == 1, answered.crossed
    right = spike & (answered.label == 1) & positive
    return FirstSpikes(
        accuracy=share(answered.label == labels),
        positives_at_earliest=share(right & (answered.step == due), positive),
        positives_late=share(right & (answered.step > due), positive),
        negatives_before_end=share(spike & (answered.step < SPOTTING_STEPS - 1) & (answered.label == 0), ~positive),
        negatives_mean_step=float((answered.step + 1)[~positive].mean()),
        first_is_negative=share(spike & (answered.label == 0)),
        no_spike=share(~spike),
    )


def positive_only(probability: Floats, due: Integers, labels: Integers) -> PositiveSpikes:
    over = probability >= THETA
    spiked, late, positive = over.any(axis=1), over.argmax(axis=1) - due, labels == 1
    return PositiveSpikes(
        accuracy=share(spiked == positive),
        positives_at_earliest=share(spiked & (late == 0), positive),
        positives_one_late=share(spiked & (late == 1), positive),
        positives_later=share(spiked & (late > 1), positive),
    )


def share(which: Any, among: Any = True) -> float:
    """Share of the sequences `among` for which `which` holds."""
    return float((which & among).sum() / np.broadcast_to(among, which.shape).sum())
