"""The networks: causal, and the same under any cut of their input."""

import pytest
import torch

from training.model.network import Network, NetworkSettings

PAPER = NetworkSettings(labels=11)
CONV = NetworkSettings(labels=11, bands=40, channels=(4, 6), stride=2, inputs=16, hidden=24, dense=8, dropout=0.3)


def build(settings: NetworkSettings) -> tuple[Network, torch.Tensor]:
    torch.manual_seed(0)
    return Network(settings).eval(), torch.randn(3, 40, settings.bands)


def test_the_papers_network_has_the_papers_sizes() -> None:
    network = Network(PAPER)
    assert network.lstm.input_size == 21 * 20
    assert (network.lstm.hidden_size, network.dense.out_features, network.output.out_features) == (128, 32, 11)
    assert network.look_ahead == 10


@pytest.mark.parametrize("settings", [PAPER, CONV])
@pytest.mark.parametrize("frames", [2, 6, 20])
@torch.no_grad()
def test_chunks_equal_the_whole(settings: NetworkSettings, frames: int) -> None:
    network, features = build(settings)
    whole, end = network(features, network.initial_state(3))
    state, parts = network.initial_state(3), []
    for piece in features.split(frames, dim=1):
        logits, state = network(piece, state)
        parts.append(logits)
    assert whole.shape == (3, 40 // settings.stride, 11)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
    for name, value in end.items():
        torch.testing.assert_close(state[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [PAPER, CONV])
@torch.no_grad()
def test_later_frames_never_change_earlier_steps(settings: NetworkSettings) -> None:
    network, features = build(settings)
    other = features.clone()
    other[:, 20:] += 1
    first, _ = network(features, network.initial_state(3))
    second, _ = network(other, network.initial_state(3))
    step = 20 // settings.stride
    torch.testing.assert_close(first[:, :step], second[:, :step], atol=1e-6, rtol=0)
    assert not torch.allclose(first[:, step:], second[:, step:], atol=1e-3)
