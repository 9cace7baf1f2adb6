"""Ways of stopping on the outputs of a network: one threshold, thresholds per block, and the value of waiting.

Fitted to the outputs for clips of known labels. Knows nothing of networks, training or files.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.evaluation.operating_points import OperatingPoint, TimedAccuracy
from training.evaluation.waiting import Regression
from training.learning.rank_coding import first_crossing

THETAS = [1 - gap for gap in np.geomspace(0.9, 1e-6, 48).tolist()] + [1.1]  # at inference; the last: at the end
BLOCKS = 10  # spans of a clip with one threshold each
COSTS = np.geomspace(30.0, 0.01, 14).tolist()  # accuracy that a second of waiting costs where thresholds are tuned
SWEEPS = 2  # over the blocks


class NetworkOutputs(NamedTuple):
    """Clips after each step: the largest output of a network, and whether it is the right one."""

    highest: Tensor  # [clips, steps]
    right: Tensor  # bool [clips, steps]
    step_s: float
    features: Tensor  # [clips, steps, features] of `waiting`


def point(outputs: NetworkOutputs, theta: Tensor | float) -> TimedAccuracy:
    """Accuracy and mean decision time, look-ahead included, at one threshold or at one per step."""
    step, _ = first_crossing(outputs.highest[:, :, None], torch.as_tensor(theta).reshape(1, -1, 1))
    return point_at(outputs, step)


def point_at(outputs: NetworkOutputs, step: Tensor) -> TimedAccuracy:
    """Accuracy and mean decision time, look-ahead included, of answers at these steps [clips]."""
    right = outputs.right.gather(1, step[:, None]).float().mean().item()
    return TimedAccuracy((step + 1).float().mean().item() * outputs.step_s, right)


def curve(outputs: NetworkOutputs) -> list[OperatingPoint]:
    return [OperatingPoint(**vars(point(outputs, theta)), threshold=theta) for theta in THETAS]


def tune(outputs: NetworkOutputs, cost: float) -> Tensor:
    """Thresholds [steps], one per block, that gain most accuracy less `cost` per second: searched block by block.

    The search begins with the best threshold for all blocks, so on these clips it is never worse than that.
    """

    def gain(theta: Tensor | float) -> float:
        return gain_of(point(outputs, theta), cost)

    steps = outputs.highest.shape[1]
    width = -(-steps // BLOCKS)
    theta = torch.full((steps,), max(THETAS, key=gain))
    for _ in range(SWEEPS):
        for start in range(0, steps, width):
            block = torch.arange(start, min(start + width, steps))
            theta = max([theta, *(theta.index_fill(0, block, value) for value in THETAS[::2])], key=gain)
    return theta


def fit_waiting(outputs: NetworkOutputs) -> list[Tensor]:
    """Weights of the value of waiting, per cost; begun with the best threshold."""
    regression = Regression(outputs.features, outputs.right, outputs.step_s)
    return [
        regression.fit(cost, outputs.highest >= max(THETAS, key=lambda theta: gain_of(point(outputs, theta), cost)))
        for cost in COSTS
    ]


def gain_of(reached: TimedAccuracy, cost: float) -> float:
    """Accuracy less `cost` per second."""
    return reached.accuracy - cost * reached.decision_time_s
