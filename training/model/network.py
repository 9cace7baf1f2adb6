"""The networks: (features, state) → (logits, state), any number of steps at a time, always causal.

Every stage that looks back in time keeps the frames it still needs as state, so that any chunking of the input gives
the same output. Knows nothing of audio, labels, losses or thresholds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.model.frontend import State

FORGET_BIAS = 2.0  # Jozefowicz et al. 2015


@dataclass(frozen=True)
class NetworkSettings:
    """Frames are stacked with `context` frames on either side, as in the paper, or convolved to `channels`."""

    labels: int
    bands: int = 20
    context: int = 10  # frames on either side; with `channels` it has no meaning
    channels: tuple[int, ...] = ()  # one convolution over time and bands per entry, which halves the bands
    stride: int = 1  # feature frames per step
    inputs: int = 0  # units of a dense layer before the LSTM, 0 for none
    hidden: int = 128
    dense: int = 32
    dropout: float = 0.0


class FrameStack(nn.Module):
    """Stacks each frame with the `2 * context` frames before it: the centre is `context` frames ago."""

    def __init__(self, bands: int, context: int, stride: int) -> None:
        super().__init__()
        self.width, self.stride, self.bands = 2 * context + 1, stride, bands
        self.size = self.width * bands
        self.look_ahead = context

    def initial_state(self, batch: int) -> State:
        """Zeros for `batch` streams."""
        return {"context": torch.zeros(batch, self.width - self.stride, self.bands)}

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """[batch, stride * steps, bands] → [batch, steps, size]."""
        frames = torch.cat([state["context"], features], dim=1)
        last = self.width - 1
        stacked = torch.cat([frames[:, i : i - last or None : self.stride] for i in range(self.width)], dim=2)
        return stacked, {"context": frames[:, frames.shape[1] - self.width + self.stride :]}


class Convolutions(nn.Module):
    """Convolutions over time and bands; each halves the bands and is normalised within its frame and rectified.

    The first takes `stride` frames per step. The normalisation is by layer, as batch statistics would change when
    sequences leave a rank-coded batch.
    """

    def __init__(self, bands: int, channels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        self.tails: list[tuple[int, int, int]] = []
        self.look_ahead, frames_per_step, inputs = 0, 1, 1
        for i, outputs in enumerate(channels):
            width, step = (max(5, stride + 3), stride) if i == 0 else (3, 1)
            self.layers.append(nn.Conv2d(inputs, outputs, (width, 5), (step, 2), padding=(0, 2)))
            self.tails.append((inputs, width - step, bands))
            self.look_ahead += frames_per_step * (width // 2)
            self.norms.append(nn.LayerNorm((outputs, (bands + 1) // 2)))
            inputs, bands, frames_per_step = outputs, (bands + 1) // 2, frames_per_step * step
        self.size = inputs * bands

    def initial_state(self, batch: int) -> State:
        """Zeros for `batch` streams."""
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
    """Stacked frames or convolutions, an LSTM, one dense layer with ReLU, logits.

    The paper's network (section 3.4) has an LSTM of 128 units and a dense layer of 32.

    Args:
        settings: sizes of all layers.
    """

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
        """Feature frames that a step has seen after the centre of its own input."""
        return self.encoder.look_ahead

    def initial_state(self, batch: int) -> State:
        """The state before the first step.

        Args:
            batch: number of sequences.

        Returns:
            Zeros [batch, ...] by the name of the state, on the device of the network.
        """
        zeros = torch.zeros(batch, self.settings.hidden)
        state = {**self.encoder.initial_state(batch), "h": zeros, "c": zeros}
        return {name: value.to(self.output.weight.device) for name, value in state.items()}

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Run any number of steps.

        Args:
            features: [batch, stride * steps, bands].
            state: of `initial_state`, or of the call before; [batch, ...] each.

        Returns:
            Logits [batch, steps, labels], and the state after the last step.

        Raises:
            RuntimeError: the shapes are not those of the settings.
        """
        x, new = self.encoder(features, state)
        x = self.dropout(self.inputs(x))
        x, (h, c) = self.lstm(x, (state["h"].unsqueeze(0), state["c"].unsqueeze(0)))
        x = torch.relu(self.dense(self.dropout(x)))
        return self.output(x), {**new, "h": h.squeeze(0), "c": c.squeeze(0)}
