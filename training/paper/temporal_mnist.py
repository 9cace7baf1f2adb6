"""Section 3.3 of the paper, figure 3 and table 1: digits whose darker pixels spike earlier, answered early or late.

The paper switches from a high β, where the network answers late, to 0.165, where it answers at the first step. How high
the high one was and how long it was kept it does not say: here it is 0.25, just above the β at which equation 7 itself
asks a certain network to stay below the threshold. Beyond the paper: runs that continue for as long again with digits
that are rotated, scaled and shifted a little, and a falling learning rate; for those that then answer too late, a lower
β to the end or a lower threshold.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from training.learning.settings import TrainingMethod
from training.paper import mnist
from training.paper.digits import THETA, DigitEpoch, DigitFigures, DigitSettings, measure, train
from training.paper.mnist import LABELS, STEPS
from training.paper.run_pool import RunResult, by_name, run_all
from training.records import Record
from training.reports.provenance import Provenance, provenance

FAST, SLOW, LOWERED = 0.165, 0.25, 0.05  # β
MAX_SWITCHED = 10  # epochs after a change of β, at most as many as the regime has
# (network, units, epochs of fast runs, epochs of slow and EOS runs): 50 is the paper's, fewer are what two cores can do
FULL = (("lstm", 340, 50, 10), ("convlstm", 10, 30, 6), ("convlstm", 20, 30, 4))
QUICK = (("lstm", 64, 10, 8), ("convlstm", 2, 15, 6))
QUICK_SIZE: dict[str, Any] = {"images": 500, "tested": 500, "batch": 10, "learning_rate": 0.01}
TITLES = {"lstm": "LSTM", "convlstm": "ConvLSTM"}

DigitResult = RunResult[DigitEpoch, DigitFigures]


@dataclass(frozen=True)
class TemporalMnistResult(Record):
    measured: Provenance
    seeds: int
    critical_beta: float
    runs: dict[str, list[DigitResult]]
    shown: list[str]  # the spike steps of one image, a line per row of pixels


def run(data: Path, quick: bool, seeds: int, out: Path, command: str) -> Iterator[TemporalMnistResult]:
    """Train in `out`/runs what is not there yet, and measure: the result so far after each network."""
    size = QUICK_SIZE if quick else {}
    count = size.get("tested", DigitSettings.tested)
    shown = drawn(mnist.read(data, "test", 1).images[0])
    result = TemporalMnistResult(provenance(command, 0), seeds, critical_beta(), {}, shown)
    for settings in stages(seeds, quick):
        learn = partial(train, data=data, folder=out / "runs")
        results = run_all(learn, partial(measure, data=data, count=count), settings, out / "runs")
        result = replace(result, runs=result.runs | by_name(results))
        yield result


def stages(seeds: int, quick: bool) -> list[list[DigitSettings]]:
    """All runs, those of a network together, EOS of all last; the quick ones in one go."""
    networks = QUICK if quick else FULL
    size = QUICK_SIZE if quick else {}
    rc = [[run for seed in range(seeds) for run in rank_coded(*network, seed, size)] for network in networks]
    eos = [end_of_sequence(*network, seed, size) for network in networks for seed in range(seeds)]
    return [[run for runs in [*rc, eos] for run in runs]] if quick else [*rc, eos]


def rank_coded(
    network: str, hidden: int, fast: int, slow: int, seed: int, size: Mapping[str, Any]
) -> list[DigitSettings]:
    """The paper's two regimes, the switch from one to the other, each with varied digits; then less β in the fast."""
    title = f"{TITLES[network]} {hidden}"
    same: dict[str, Any] = {"network": network, "hidden": hidden, "method": TrainingMethod.RC, "seed": seed, **size}
    early = DigitSettings(f"{title} fast", epochs=fast, beta=FAST, **same)
    varied = replace(early, name=f"{early.name} varied", initial_run=early, varied=True)
    late = DigitSettings(f"{title} slow", epochs=slow, beta=SLOW, **same)
    return [
        early,
        varied,
        replace(varied, name=f"{early.name} lowered", initial_run=varied, beta=LOWERED, epochs=min(MAX_SWITCHED, fast)),
        late,
        DigitSettings(f"{title} switched", epochs=min(MAX_SWITCHED, slow), beta=FAST, initial_run=late, **same),
        replace(late, name=f"{late.name} varied", initial_run=late, varied=True),
    ]


def end_of_sequence(
    network: str, hidden: int, fast: int, slow: int, seed: int, size: Mapping[str, Any]
) -> DigitSettings:
    return DigitSettings(f"{TITLES[network]} {hidden} eos", network, hidden, TrainingMethod.EOS, slow, seed, **size)


def critical_beta(theta: float = THETA, labels: int = LABELS) -> float:
    """Above this β equation 7 is least where the right output is below `theta`, however certain the network is."""
    return 1 / (theta * math.log((labels - 1) * theta / (1 - theta)))


def drawn(image: Tensor) -> list[str]:
    """An image [28, 28] as text: the step at which each pixel spikes, a dot where none does."""
    return ["".join("." if step == STEPS else str(step) for step in row) for row in mnist.spike_step(image).tolist()]
