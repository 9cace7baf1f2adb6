"""What early detections cost a server: the same load without and with them in turn, on one server."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from clients.bench.load import Load

DEFAULT_ROUNDS = 3


@dataclass(frozen=True)
class EarlyCost:
    """One load in several rounds; `found` of the `expected` detections were confirmed at their frame."""

    streams: int
    chunk_ms: int
    rounds: int
    cpu_ms_per_stream_s: float  # without early detections
    with_early: float
    ratio: float | None  # median of the rounds, each of which compares two runs; None where every round lost detections
    lowest_ratio: float | None
    highest_ratio: float | None
    found: int
    expected: int


@dataclass(frozen=True)
class Cost:
    """CPU time of the server in one round, and the detections that came as expected."""

    cpu_ms_per_stream_s: float
    found: int
    expected: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost: a server that carries less costs less."""
        return self.found == self.expected


def measure_early(load: Load, rounds: int, measure: Callable[[Load], Cost]) -> EarlyCost:
    """Every other round begins with early detections: what the machine does besides falls on both."""
    plain: list[Cost] = []
    early: list[Cost] = []
    for number in range(rounds):
        for with_early in (False, True) if number % 2 == 0 else (True, False):
            (early if with_early else plain).append(measure(replace(load, early=with_early)))
        print(f"round {number + 1}: {plain[-1]}, with early: {early[-1]}", file=sys.stderr)
    ratios = [_ratio(*pair) for pair in zip(early, plain, strict=True) if all(cost.is_whole for cost in pair)]
    return EarlyCost(
        streams=load.streams,
        chunk_ms=round(1000 * load.chunk_s),
        rounds=rounds,
        cpu_ms_per_stream_s=round(_mean_ms(plain), 3),
        with_early=round(_mean_ms(early), 3),
        ratio=round(median(ratios), 3) if ratios else None,
        lowest_ratio=round(min(ratios), 3) if ratios else None,
        highest_ratio=round(max(ratios), 3) if ratios else None,
        found=sum(cost.found for cost in early),
        expected=sum(cost.expected for cost in early),
    )


def _mean_ms(costs: Sequence[Cost]) -> float:
    return sum(cost.cpu_ms_per_stream_s for cost in costs) / len(costs)


def _ratio(early: Cost, plain: Cost) -> float:
    return early.cpu_ms_per_stream_s / max(plain.cpu_ms_per_stream_s, 1e-3)
