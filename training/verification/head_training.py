"""Training of a verifier: a small head on vectors of the speech embedding, which stays as it is."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from service.spotting.audio import FULL_SCALE
from training.model.verifier_network import VECTORS, VerifierNetwork
from training.verification.examples import OFFSETS, VerifierExamples

EMBEDDED_AT_ONCE = 64
SMOOTHING = 0.02  # of the targets
MIN_DEVIATION = 1e-3


@dataclass(frozen=True)
class VerifierTraining:
    epochs: int = 16
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    speech_weight: float = 2.0  # of a false candidate in running speech, of which there are few


def train_verifier(
    examples: VerifierExamples, keywords: int, seed: int, settings: VerifierTraining = VerifierTraining()
) -> VerifierNetwork:
    """The network, with a head that was trained on the examples."""
    torch.manual_seed(seed)
    network = VerifierNetwork(keywords)
    vectors = embedded(network, examples.audio)
    network.mean.copy_(vectors.mean((0, 1)))
    network.scale.copy_(1 / vectors.std((0, 1)).clamp_min(MIN_DEVIATION))
    targets = torch.from_numpy(examples.targets)
    is_false = targets == keywords
    weights = torch.where(is_false & torch.from_numpy(examples.in_speech), settings.speech_weight, 1.0)
    train_head(network, (vectors - network.mean) * network.scale, targets, weights, settings)
    return network.eval()


@torch.no_grad()
def embedded(network: VerifierNetwork, audio: np.ndarray) -> Tensor:
    """int16 [examples, samples] → vectors [examples, vectors, size]."""
    batches = torch.from_numpy(audio).split(EMBEDDED_AT_ONCE)
    return torch.cat([network.embed(batch / FULL_SCALE) for batch in batches])


def train_head(
    network: VerifierNetwork, vectors: Tensor, targets: Tensor, weights: Tensor, settings: VerifierTraining
) -> None:
    """Each batch looks at all its examples at one of their OFFSETS."""
    batches = max(1, len(targets) // settings.batch)
    optimiser = torch.optim.AdamW(network.head.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, settings.epochs * batches)
    network.head.train()
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(targets)).tensor_split(batches):
            offset = int(torch.randint(OFFSETS, (1,)))
            logits = network.head(vectors[rows, offset : offset + VECTORS])
            losses = functional.cross_entropy(logits, targets[rows], reduction="none", label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            (losses * weights[rows]).mean().backward()
            optimiser.step()
            schedule.step()
