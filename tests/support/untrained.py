"""Untrained networks to export, and noise to score with them."""

import numpy as np
import torch

from service.spotting.metadata import Metadata
from tests.support.tone_model import METADATA
from training.model.export import ExportedStep
from training.model.frontend import FrontEndSettings, front_end_of
from training.model.network import Network, NetworkSettings

NETWORKS = {
    "paper": NetworkSettings(labels=4),
    "conv": NetworkSettings(4, channels=(4, 6), stride=2, inputs=16, hidden=24, dense=8, dropout=0.2),
    "pcen": NetworkSettings(4, channels=(4, 6), stride=2, inputs=16, hidden=24, dense=8, dropout=0.2),
}


def step_and_metadata(name: str) -> tuple[ExportedStep, Metadata]:
    torch.manual_seed(0)
    step = ExportedStep(front_end_of(FrontEndSettings(pcen=name == "pcen")), Network(NETWORKS[name]))
    with torch.no_grad():
        step.network.output.weight *= 5
    return step, Metadata(**{**vars(METADATA), "hop": 160 * NETWORKS[name].stride, "window": 400})


def noise(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(16_000 + 37 * i)).astype(np.float32) for i in range(count)]
