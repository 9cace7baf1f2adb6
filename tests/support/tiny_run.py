"""Settings of a run that learns the toy data set in seconds."""

import torch

from training.data.augment import AugmentSettings
from training.data.labels import Labels
from training.learning.settings import RunSettings
from training.model.frontend import FrontEndSettings
from training.model.network import NetworkSettings

LABELS = Labels(("up", "down"))
SETTINGS = RunSettings(
    LABELS,
    NetworkSettings(len(LABELS), bands=20, channels=(8, 16), stride=2, inputs=48, hidden=32, dense=32),
    FrontEndSettings(bands=20),
    augment=AugmentSettings().at(0.1),
    beta=0.0,
    epochs=12,
    batch=8,
    learning_rate=4e-3,
    streams=False,
)
CPU = torch.device("cpu")
