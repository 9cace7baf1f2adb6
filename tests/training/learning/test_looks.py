"""Where to look for spikes: what the chosen looks cost, against all other choices."""

from itertools import combinations

import pytest
import torch

from training.learning.looks import BLOCK_FRAMES, LOOK_FRAMES, SpikeLooks


def cost(steps: list[int], looks: tuple[int, ...], length: int) -> float:
    """Steps that sequences run, and looks, by the definition."""
    stops = [*looks, length]
    run = sum(next(stop for stop in stops if step < stop) for step in steps)
    last = max(stops.index(next(stop for stop in stops if step < stop)) for step in steps)
    return run + LOOK_FRAMES * (last + 1)


def test_without_spikes_there_is_no_look_before_the_end() -> None:
    looks = SpikeLooks(100)
    assert looks.after() == []
    looks.record(torch.full((32,), 99))
    assert looks.after() == []


@pytest.mark.parametrize("seed", range(5))
def test_no_other_looks_cost_less(seed: int) -> None:
    generator, length = torch.Generator().manual_seed(seed), 8 * BLOCK_FRAMES
    steps = torch.randint(length, (60,), generator=generator)
    looks = SpikeLooks(length)
    looks.record(steps)
    places = range(BLOCK_FRAMES, length, BLOCK_FRAMES)
    others = [choice for count in range(8) for choice in combinations(places, count)]
    chosen = tuple(looks.after())
    assert chosen
    assert cost(steps.tolist(), chosen, length) == min(cost(steps.tolist(), other, length) for other in others)


def test_looks_follow_the_spikes_through_training() -> None:
    looks = SpikeLooks(25, stride=4)
    for step in (24, 10):
        for _ in range(100):
            looks.record(torch.full((32,), step))
        assert looks.after() == ([] if step == 24 else [11])
