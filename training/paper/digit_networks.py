"""The networks of temporal MNIST: 340 LSTM units, or 10 or 20 convolutional ones, and ten outputs."""

import torch
from torch import Tensor, nn

from training.model.frontend import State
from training.paper.mnist import EDGE, LABELS


class Lstm(nn.Module):
    """Spikes [batch, steps, 28, 28] and a state, empty at the start → logits [batch, steps, 10] and the state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(EDGE * EDGE, hidden, batch_first=True)
        self.output = nn.Linear(hidden, LABELS)

    def forward(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        before = (state["h"].unsqueeze(0), state["c"].unsqueeze(0)) if state else None
        x, (h, c) = self.lstm(images.flatten(2), before)
        return self.output(x), {"h": h.squeeze(0), "c": c.squeeze(0)}


class ConvLstm(nn.Module):
    """The same with gates that are convolutions (Xingjian et al. 2015, without peepholes), all maps to all outputs."""

    def __init__(self, hidden: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        over_input, over_hidden = kernels
        self.input_conv = nn.Conv2d(1, 4 * hidden, over_input, padding=over_input // 2)
        self.hidden_conv = nn.Conv2d(hidden, 4 * hidden, over_hidden, padding=over_hidden // 2, bias=False)
        self.output = nn.Linear(hidden * EDGE * EDGE, LABELS)

    def forward(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        logits = []
        for image in images.split(1, dim=1):
            gates = self.input_conv(image)
            if state:  # the state is empty at the start, which makes the first step cheap
                gates = gates + self.hidden_conv(state["h"])
            input_gate, forget_gate, output_gate, candidate = gates.chunk(4, dim=1)
            c = input_gate.sigmoid() * candidate.tanh()
            if state:
                c = c + forget_gate.sigmoid() * state["c"]
            state = {"h": output_gate.sigmoid() * c.tanh(), "c": c}
            logits.append(self.output(state["h"].flatten(1)))
        return torch.stack(logits, dim=1), state
