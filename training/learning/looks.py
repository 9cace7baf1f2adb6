"""After which steps to look for spikes: where it cost least for the sequences before.

A look costs calls, and a step that is run beyond a spike is wasted. Where looks are changes no answer. Knows nothing of
networks, losses or data.
"""

import torch
from torch import Tensor

LOOK_FRAMES = 100  # a look costs as much as this number of feature frames of one sequence
BLOCK_FRAMES = 5  # looks are placed at multiples of it
MEMORY = 0.95  # share of what was recorded that is left after another batch


class SpikeLooks:
    """When the sequences of recent batches spiked, and the looks that would have cost least for them."""

    def __init__(self, steps: int, stride: int = 1) -> None:
        """`steps` per sequence; `stride`: feature frames per step. Until a batch is recorded no spike is expected."""
        self.cost = LOOK_FRAMES / stride
        self.block = max(1, BLOCK_FRAMES // stride)
        self.spikes = torch.zeros(-(-steps // self.block))  # sequences per batch that spiked in each block

    def record(self, step: Tensor) -> None:
        """The 0-based steps [batch] at which the sequences of a batch answered."""
        counts = torch.bincount(step.cpu() // self.block, minlength=len(self.spikes))
        self.spikes = MEMORY * self.spikes + (1 - MEMORY) * counts if self.spikes.any() else counts.float()

    def after(self) -> list[int]:
        """After how many steps to look, ascending; the end, where all answer, is not among them."""
        alive = self.spikes.flip(0).cumsum(0).flip(0).tolist()  # sequences that spike in a block or later
        blocks = len(alive)
        cost, following = [0.0] * (blocks + 1), [blocks] * blocks
        for start in reversed(range(blocks)):
            each = alive[start] * self.block
            costs = [self.cost + each * (stop - start) + cost[stop] for stop in range(start + 1, blocks + 1)]
            cost[start] = min(costs)
            following[start] = start + 1 + costs.index(cost[start])
        looks, at = [], following[0]
        while at < blocks:
            looks.append(at * self.block)
            at = following[at]
        return looks
