"""The networks: (features, state) → (logits, state), a step at a time or many, always causal.

Every stage that looks back over time keeps the frames it still needs as state, so that any cut of the input gives the
same output. Knows nothing of audio, labels, losses or thresholds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.model.frontend import State

FORGET_BIAS = 2.0  # Jozefowicz et al. 2015


@dataclass(frozen=True)
class NetworkSettings:
    """`context` past and future frames are stacked as in the paper, or `channels` of convolutions see them."""

    labels: int
    bands: int = 20
    context: int = 10  # frames on either side; with `channels` it has no meaning
    channels: tuple[int, ...] = ()  # one convolution over time and bands each, which halves the bands
    stride: int = 1  # feature frames a step
    inputs: int = 0  # units of a dense layer before the LSTM, 0 for none
    hidden: int = 128
    dense: int = 32
    dropout: float = 0.0


class FrameStack(nn.Module):
    """Stack each frame with the `2 * context` frames before it: the centre is `context` frames ago."""

    def __init__(self, bands: int, context: int, stride: int) -> None:
        super().__init__()
        self.width, self.stride, self.bands = 2 * context + 1, stride, bands
        self.size = self.width * bands
        self.look_ahead = context

    def initial_state(self, batch: int) -> State:
        return {"context": torch.zeros(batch, self.width - self.stride, self.bands)}

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """[batch, stride * steps, bands] → [batch, steps, size]."""
        frames = torch.cat([state["context"], features], dim=1)
        last = self.width - 1
        stacked = torch.cat([frames[:, i : i - last or None : self.stride] for i in range(self.width)], dim=2)
        return stacked, {"context": frames[:, frames.shape[1] - self.width + self.stride :]}


class Convolutions(nn.Module):
    """Convolutions over time and bands, each normalised within its frame and rectified, each halving the bands.

    The first takes `stride` frames a step. Batch statistics would differ as sequences leave a rank-coded batch, so
    layer normalisation it is.
    """

    def __init__(self, bands: int, channels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        self.tails: list[tuple[int, int, int]] = []
        self.look_ahead, frames_a_step, inputs = 0, 1, 1
        for i, outputs in enumerate(channels):
            width, step = (5, stride) if i == 0 else (3, 1)
            self.layers.append(nn.Conv2d(inputs, outputs, (width, 5), (step, 2), padding=(0, 2)))
            self.tails.append((inputs, width - step, bands))
            self.look_ahead += frames_a_step * (width // 2)
            self.norms.append(nn.LayerNorm((outputs, (bands + 1) // 2)))
            inputs, bands, frames_a_step = outputs, (bands + 1) // 2, frames_a_step * step
        self.size = inputs * bands

    def initial_state(self, batch: int) -> State:
        return {f"conv{i}": torch.zeros(batch, *shape) for i, shape in enumerate(self.tails)}

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """[batch, stride * steps, bands] → [batch, steps, size]."""
        x, new = features.unsqueeze(2), {}
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = torch.cat([state[f"conv{i}"], x.transpose(1, 2)], dim=2)
            new[f"conv{i}"] = x[:, :, -self.tails[i][1] :]
            x = torch.relu(norm(layer(x).transpose(1, 2)))
        return x.flatten(2), new


class Network(nn.Module):
    """Context or convolutions, LSTM, one dense layer with ReLU, logits (paper, section 3.4: LSTM 128, dense 32)."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.encoder: FrameStack | Convolutions
        self.encoder = (
            Convolutions(s.bands, s.channels, s.stride) if s.channels else FrameStack(s.bands, s.context, s.stride)
        )
        self.inputs = nn.Sequential(nn.Linear(self.encoder.size, s.inputs), nn.ReLU()) if s.inputs else nn.Identity()
        self.lstm = nn.LSTM(s.inputs or self.encoder.size, s.hidden, batch_first=True)
        with torch.no_grad():  # a forget gate that starts open lets gradients reach back over a whole word
            self.lstm.get_parameter("bias_ih_l0")[s.hidden : 2 * s.hidden] = FORGET_BIAS
        self.dropout = nn.Dropout(s.dropout)
        self.dense = nn.Linear(s.hidden, s.dense)
        self.output = nn.Linear(s.dense, s.labels)

    @property
    def look_ahead(self) -> int:
        """Feature frames after the centre of what a step answers for that it has already seen."""
        return self.encoder.look_ahead

    def initial_state(self, batch: int) -> State:
        """Zeros for each named state, [batch, ...]."""
        zeros = torch.zeros(batch, self.settings.hidden)
        state = {**self.encoder.initial_state(batch), "h": zeros, "c": zeros}
        return {name: value.to(self.output.weight.device) for name, value in state.items()}

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Features [batch, stride * steps, bands] → logits [batch, steps, labels] and the state after them."""
        x, new = self.encoder(features, state)
        x = self.dropout(self.inputs(x))
        x, (h, c) = self.lstm(x, (state["h"].unsqueeze(0), state["c"].unsqueeze(0)))
        x = torch.relu(self.dense(self.dropout(x)))
        return self.output(x), {**new, "h": h.squeeze(0), "c": c.squeeze(0)}
