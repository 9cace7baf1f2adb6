"""The thresholds of training: drawn per sequence between two, evenly in log-odds; and the waits of the speeds."""

import math

import torch
from torch import Tensor

from training.learning.answer_windows import SPEED_CONFIRM_MS
from training.learning.settings import RunSettings


def draw_thresholds(settings: RunSettings, batch: int, generator: torch.Generator) -> Tensor:
    """A threshold for every sequence of a batch, between `theta_low` and `theta`, evenly spread in log-odds."""
    return thresholds_at(settings, torch.rand(batch, generator=generator, device=generator.device))


def thresholds_at(settings: RunSettings, shares: Tensor) -> Tensor:
    """The thresholds at these shares of the way from `theta_low` to `theta` in log-odds."""
    low, high = (math.log(theta / (1 - theta)) for theta in (settings.theta_low, settings.theta))
    return torch.sigmoid(low + (high - low) * shares)


def draw_confirmation(settings: RunSettings, generator: torch.Generator) -> int:
    """How many steps a score must stay at its threshold, for a batch of streams: the wait of a random speed."""
    waits_ms = list(SPEED_CONFIRM_MS.values())
    chosen = int(torch.randint(len(waits_ms), (), generator=generator, device=generator.device))
    return round(waits_ms[chosen] / 1000 / settings.step_s)
