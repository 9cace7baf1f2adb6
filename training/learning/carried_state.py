"""States that are carried from the sequences of one batch to those of the next: a stream never restarts."""

import torch
from torch import Tensor

from training.data.batches import LazyFeatures
from training.model.frontend import State
from training.model.network import Network

CARRIED = 8  # sequences of a batch that are run to their end, for the states that others begin with


@torch.no_grad()
def state_at_end(network: Network, features: LazyFeatures, state: State, generator: torch.Generator) -> State:
    """The state after some whole sequences of a batch, run on beyond their answers."""
    device = generator.device
    rows = torch.randperm(features.shape[0], generator=generator, device=device)[:CARRIED]
    return network(features[rows, :], {name: value[rows] for name, value in state.items()})[1]


def starting_state(
    network: Network, carried: State | None, batch: int, share: float, generator: torch.Generator
) -> State:
    """Zeros, or for a `share` of the sequences the state in which one of the previous batch ended.

    Those may have begun with carried states too, so that there are chains of words, as in a stream.
    """
    zeros = network.initial_state(batch)
    if carried is None:
        return zeros
    device = carried["h"].device
    take = torch.rand(batch, generator=generator, device=device) < share
    rows = torch.randint(len(carried["h"]), (batch,), generator=generator, device=device)
    return carry({name: carried[name][rows] for name in zeros}, zeros, ~take)


def carry(carried: State, initial: State, is_new: Tensor) -> State:
    """The state in which a stream's row ended, or the initial one where a stream `is_new` [batch]."""
    return {
        name: torch.where(is_new.view(-1, *[1] * (value.dim() - 1)), value, carried[name])
        for name, value in initial.items()
    }
