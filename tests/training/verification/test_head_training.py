"""A head on the speech embedding learns sounds that differ."""

import numpy as np
import pytest
import torch

from service.spotting.audio import FULL_SCALE
from training.model.frontend import SAMPLE_RATE
from training.model.verifier_network import WINDOW
from training.verification.examples import EXAMPLE, VerifierExamples
from training.verification.head_training import VerifierTraining, train_verifier


@pytest.mark.learns
def test_a_head_distinguishes_tones() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(48) % 3
    time = np.arange(EXAMPLE) / SAMPLE_RATE
    waves = [np.sin(2 * np.pi * (400.0, 1000.0, 2500.0)[target] * time) for target in targets]
    audio = [0.2 * wave + 0.01 * rng.standard_normal(EXAMPLE) for wave in waves]
    examples = VerifierExamples((FULL_SCALE * np.stack(audio)).astype(np.int16), targets, targets == 2)
    network = train_verifier(examples, keywords=2, seed=0, settings=VerifierTraining(epochs=20, batch=16))
    with torch.no_grad():
        probabilities = network(torch.from_numpy(examples.audio[:, :WINDOW] / np.float32(FULL_SCALE)))
    assert (probabilities[targets == 0, 0] > 0.5).all()
    assert (probabilities[targets == 1, 1] > 0.5).all()
    assert (probabilities[targets == 2] < 0.5).all()
