"""The networks of temporal MNIST, their training epoch by epoch, and their answers.

Section 3.3 and appendix A.3 of the paper: 340 LSTM units, or 10 or 20 convolutional ones, and ten outputs; Adam at a
fixed 0.001, threshold 0.95; all 60,000 training images and no validation. What the paper leaves open is said below.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from training.learning.rank_coding import (
    Answers,
    answer_at_end,
    answer_at_first_spike,
    first_crossing,
    rank_coding_loss,
)
from training.model.frontend import State
from training.paper import mnist
from training.paper.mnist import EDGE, LABELS, STEPS, Digits
from training.paper.run_pool import Trained, Weights

THETA = 0.95
THRESHOLDS = [percent / 100 for percent in range(5, 96)]  # to read a network early by
EARLY = 1.4  # mean step on training images; on others it is a little later, and at 1.5 the fast regime of table 1 ends
PIECE = 500  # test images at a time


@dataclass(frozen=True)
class DigitSettings:
    name: str  # what the run is called in the report
    network: str  # lstm or convlstm
    hidden: int
    method: str  # rc or eos
    epochs: int
    seed: int
    beta: float = 0.0
    base: "DigitSettings | None" = None  # the run whose last weights it begins with
    varied: bool = False  # beyond the paper: images change from epoch to epoch, and the learning rate falls to zero
    learning_rate: float = 1e-3
    batch: int = 128  # left open by the paper; that of its other experiments
    kernels: tuple[int, int] = (5, 3)  # of convolutions over input and state; left open by the paper; 3 costs a third
    images: int = 60_000  # to train on
    tested: int = 10_000

    @property
    def key(self) -> str:
        """What one run is called among all."""
        return f"{self.name} seed {self.seed}"

    def build(self) -> "Lstm | ConvLstm":
        return Lstm(self.hidden) if self.network == "lstm" else ConvLstm(self.hidden, self.kernels)


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
        over_input, over_state = kernels
        self.see = nn.Conv2d(1, 4 * hidden, over_input, padding=over_input // 2)
        self.recall = nn.Conv2d(hidden, 4 * hidden, over_state, padding=over_state // 2, bias=False)
        self.output = nn.Linear(hidden * EDGE * EDGE, LABELS)

    def forward(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        logits = []
        for image in images.split(1, dim=1):
            gates = self.see(image)
            if state:  # at the start there is nothing to recall, which makes the first step cheap
                gates = gates + self.recall(state["h"])
            write, keep, show, new = gates.chunk(4, dim=1)
            c = write.sigmoid() * new.tanh()
            if state:
                c = c + keep.sigmoid() * state["c"]
            state = {"h": show.sigmoid() * c.tanh(), "c": c}
            logits.append(self.output(state["h"].flatten(1)))
        return torch.stack(logits, dim=1), state


@dataclass
class Run:
    """All that changes while a run goes on."""

    network: Lstm | ConvLstm
    optimiser: torch.optim.Optimizer
    generator: Generator
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    settings: DigitSettings, base: Weights | None, tell: Callable[[float], None], data: Path, folder: Path
) -> Trained:
    """Train and test epoch by epoch, each kept in `folder`, so that a stopped run goes on; `tell` hears the share."""
    images, test = mnist.read(data, "train", settings.images), mnist.read(data, "test", settings.tested)
    kept = folder / f"{settings.key}.epoch"
    run = take_up(start(settings, base), settings, kept)
    while len(run.history) < settings.epochs:
        began = time.perf_counter()
        figures = learn_epoch(run, settings, images, tell) | tested(run.network, settings, test)
        run.history.append({"epoch": len(run.history) + 1, "seconds": time.perf_counter() - began, **figures})
        save(run, settings, kept)
    last = {name: value.clone() for name, value in run.network.state_dict().items()}
    return Trained(last, last, run.history)


def start(settings: DigitSettings, base: Weights | None) -> Run:
    torch.manual_seed(settings.seed)
    network = settings.build()
    if base is not None:
        network.load_state_dict(base)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    return Run(network, optimiser, Generator().manual_seed(settings.seed))


def take_up(run: Run, settings: DigitSettings, path: Path) -> Run:
    """Go on from the epoch kept in `path`, if it is one of the same settings."""
    saved: dict[str, Any] = torch.load(path, weights_only=True) if path.exists() else {}
    if saved.get("settings") == asdict(settings):
        run.network.load_state_dict(saved["network"])
        run.optimiser.load_state_dict(saved["optimiser"])
        run.generator.set_state(saved["generator"])
        run.history = saved["history"]
    return run


def save(run: Run, settings: DigitSettings, path: Path) -> None:
    """The file is whole or not there."""
    state = {"network": run.network.state_dict(), "optimiser": run.optimiser.state_dict()}
    draft = path.with_suffix(".part")
    torch.save({**state, "generator": run.generator.get_state(), "history": run.history, "settings": asdict(settings)},
               draft)  # fmt: skip
    draft.replace(path)


def learn_epoch(run: Run, settings: DigitSettings, data: Digits, tell: Callable[[float], None]) -> dict[str, float]:
    """Every training image once; returns the mean loss and the mean 1-based step of the answers."""
    order = torch.randperm(len(data.labels), generator=run.generator).split(settings.batch)
    loss_sum, step_sum = 0.0, 0.0
    for done, rows in enumerate(order):
        share = (len(run.history) + done / len(order)) / settings.epochs
        set_learning_rate(run, settings, share)
        images = mnist.varied(data.images[rows], run.generator) if settings.varied else data.images[rows]
        answers = answer(run.network, settings, mnist.spikes(images))
        loss = rank_coding_loss(answers.logits, data.labels[rows], settings.beta)
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        loss_sum += loss.item() * len(rows)
        step_sum += float(answers.step.sum()) + len(rows)
        if done % 10 == 0:
            tell(share)
    return {"loss": loss_sum / len(data.labels), "train_step": step_sum / len(data.labels)}


def set_learning_rate(run: Run, settings: DigitSettings, share: float) -> None:
    """Fixed, as the paper has it, or falling to zero as the run is done."""
    for group in run.optimiser.param_groups:
        group["lr"] = settings.learning_rate * (1 - share if settings.varied else 1)


def answer(network: nn.Module, settings: DigitSettings, inputs: Tensor) -> Answers:
    if settings.method == "eos":
        return answer_at_end(network, inputs, {})
    return answer_at_first_spike(network, inputs, {}, torch.full((len(inputs),), THETA), 1)


@torch.no_grad()
def tested(network: nn.Module, settings: DigitSettings, test: Digits) -> dict[str, float]:
    """Accuracy on test images and mean 1-based step, each answered as in training."""
    parts = [answer(network, settings, mnist.spikes(images)) for images in test.images.split(PIECE)]
    label, step = (torch.cat(each) for each in zip(*((p.logits.argmax(dim=1), p.step) for p in parts), strict=True))
    return {"accuracy": mean(label == test.labels), "mean_step": float(step.float().mean() + 1)}


def measure(network: nn.Module, data: Path, count: int) -> dict[str, Any]:
    """Of the first `count` test images: by first spike, at the end, how many answer at each step, cut at each step.

    `early` is by first spike too, at the highest threshold by which as many training images are answered early.
    """
    train, test = (mnist.read(data, split, count) for split in ("train", "test"))
    early, outputs = early_threshold(all_outputs(network, train)), all_outputs(network, test)
    cut = [mean(each.argmax(dim=1) == test.labels) for each in outputs.unbind(1)]
    return {
        **by_first_spike(outputs, test.labels, THETA),
        "answers_at_step": first_crossing(outputs, THETA)[0].bincount(minlength=STEPS).tolist(),
        "end_accuracy": cut[-1],
        "cut": cut,
        "early": {"theta": early, **by_first_spike(outputs, test.labels, early)},
    }


@torch.no_grad()
def all_outputs(network: nn.Module, digits: Digits) -> Tensor:
    """Outputs [images, steps, labels]."""
    return torch.cat([network(mnist.spikes(images), {})[0].softmax(dim=2) for images in digits.images.split(PIECE)])


def by_first_spike(outputs: Tensor, labels: Tensor, theta: float) -> dict[str, float]:
    """Accuracy and mean 1-based step of answers at a threshold."""
    step, _ = first_crossing(outputs, theta)
    answers = outputs[torch.arange(len(step)), step].argmax(dim=1)
    return {"accuracy": mean(answers == labels), "mean_step": float(step.float().mean() + 1)}


def early_threshold(outputs: Tensor) -> float:
    """The highest of THRESHOLDS by which the mean step is at most EARLY; at the lowest every answer is at step 1."""
    return max(theta for theta in THRESHOLDS if first_crossing(outputs, theta)[0].float().mean() + 1 <= EARLY)


def mean(right: Tensor) -> float:
    return float(right.double().mean())
