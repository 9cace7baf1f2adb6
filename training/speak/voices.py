"""Synthetic speakers: voices of an engine, and mixtures of them, that belong to one split each. Synthesises nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from training.data.recordings import SPEAKER_ENDS, percent_of, split_of

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.1  # share of the voices that only validation has, and as many that only test has
MIN_APART = 5  # voices; of fewer every split has all
MIXED = 0.7  # share of the speakers that are mixtures, where the engine can mix
MAX_PARTS = 3  # voices in a mixture


@dataclass(frozen=True)
class Voice:
    """A speaker: the shares of one voice of an engine, or of some; the name is that of recordings' files."""

    speaker: str
    shares: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        """As a manifest lists it: `af_sky`, or `af_sky:0.6+am_puck:0.4`."""
        if len(self.shares) == 1:
            return self.shares[0][0]
        return "+".join(f"{name}:{share:g}" for name, share in self.shares)


def voices_of_split(names: Sequence[str], split: str) -> list[str]:
    """The voices that a split may use: no two splits share one, unless there are fewer than MIN_APART."""
    ordered = sorted(names, key=percent_of)
    if len(ordered) < MIN_APART:
        return ordered
    held_out = max(1, round(HELD_OUT * len(ordered)))
    ends = {"validation": ordered[:held_out], "test": ordered[held_out : 2 * held_out]}
    return ends.get(split, ordered[2 * held_out :])


def draw_voice(names: Sequence[str], can_mix: bool, split: str, rng: np.random.Generator) -> Voice:
    """A random speaker of a split, from the voices of an engine."""
    available = voices_of_split(names, split)
    parts = rng.integers(2, MAX_PARTS, endpoint=True) if can_mix and rng.random() < MIXED else 1
    chosen = rng.choice(available, min(int(parts), len(available)), replace=False).tolist()
    weights = rng.dirichlet(np.full(len(chosen), 2.0)).round(2).tolist()
    if len(chosen) == 1:
        return Voice(speaker_name(chosen[0], split), ((chosen[0], 1.0),))
    stem = "-".join(f"{name}{100 * share:.0f}" for name, share in zip(chosen, weights, strict=True))
    return Voice(speaker_name(stem, split), tuple(zip(chosen, weights, strict=True)))


def speaker_name(stem: str, split: str) -> str:
    """`stem` with the first number that lets the official split put the speaker's recordings into `split`."""
    names = (f"{stem}.{number}" for number in count())
    return next(name for name in names if split_of(f"{name}{SPEAKER_ENDS}0") == split)
