"""The training of temporal MNIST epoch by epoch, and the answers of its networks.

Section 3.3 and appendix A.3 of the paper: Adam at a fixed 0.001, threshold 0.95; all 60,000 training images and no
validation. The comments of `DigitSettings` name what the paper leaves open.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from training.learning.checkpoint import Parts, plain_settings, read_checkpoint, restore, write_checkpoint
from training.learning.losses import rank_coding_loss
from training.learning.rank_coding import Answers, answer_at_end, answer_at_first_spike, first_crossing
from training.learning.settings import TrainingMethod
from training.paper import mnist
from training.paper.digit_networks import ConvLstm, Lstm
from training.paper.mnist import STEPS, Digits
from training.paper.run_pool import OnProgress, TrainedRun, Weights
from training.records import Record

THETA = 0.95
THRESHOLDS = [percent / 100 for percent in range(5, 96)]  # to read a network early by
EARLY = 1.4  # mean step on training images; on others it is a little later, and at 1.5 the fast regime of table 1 ends
TEST_BATCH = 500  # images


@dataclass(frozen=True)
class DigitEpoch(Record):
    """Training and test metrics of an epoch; steps are 1-based means."""

    epoch: int
    seconds: float
    loss: float
    train_step: float
    accuracy: float  # on test images, as is the step
    mean_step: float


@dataclass(frozen=True)
class SpikeAnswers(Record):
    accuracy: float
    mean_step: float  # 1-based


@dataclass(frozen=True)
class EarlyAnswers(SpikeAnswers):
    """By first spike at the highest threshold by which training images are answered early."""

    theta: float


@dataclass(frozen=True)
class DigitFigures(SpikeAnswers):
    """Test images: by first spike at THETA, how many answer at each step, and cut off at each step."""

    answers_at_step: list[int]
    end_accuracy: float
    cut: list[float]  # accuracy of the outputs of each step
    early: EarlyAnswers


@dataclass(frozen=True)
class DigitSettings:
    row: ClassVar[type[Record]] = DigitEpoch

    name: str  # name of the run in the report
    network: str  # lstm or convlstm
    hidden: int
    method: TrainingMethod  # RC or EOS
    epochs: int
    seed: int
    beta: float = 0.0
    initial_run: "DigitSettings | None" = None  # begin with its last weights
    varied: bool = False  # beyond the paper: images change from epoch to epoch, and the learning rate falls to zero
    learning_rate: float = 1e-3
    batch: int = 128  # left open by the paper; that of its other experiments
    kernels: tuple[int, int] = (5, 3)  # convolutions over input and state; left open by the paper; 3 costs a third
    images: int = 60_000  # to train on
    tested: int = 10_000

    @property
    def key(self) -> str:
        """Unique among all runs."""
        return f"{self.name} seed {self.seed}"

    def build(self) -> Lstm | ConvLstm:
        return Lstm(self.hidden) if self.network == "lstm" else ConvLstm(self.hidden, self.kernels)


@dataclass
class DigitRun:
    """All that changes during a run."""

    network: Lstm | ConvLstm
    optimiser: torch.optim.Optimizer
    schedule: LambdaLR
    generator: torch.Generator
    history: list[DigitEpoch] = field(default_factory=list)

    @property
    def parts(self) -> Parts:
        return {name: getattr(self, name) for name in ("network", "optimiser", "schedule", "generator")}


def train(
    settings: DigitSettings, initial: Weights | None, on_progress: OnProgress, data: Path, folder: Path
) -> TrainedRun:
    """Train and test epoch by epoch, each kept in `folder`, so that a stopped run resumes."""
    images, test = mnist.read(data, "train", settings.images), mnist.read(data, "test", settings.tested)
    kept = folder / f"{settings.key}.epoch"
    run = start_run(settings, initial, math.ceil(len(images.labels) / settings.batch))
    resume_run(run, settings, kept)
    while len(run.history) < settings.epochs:
        began = time.perf_counter()
        loss, train_step = train_epoch(run, settings, images, on_progress)
        answered = answer_test_images(run.network, settings, test)
        seconds = time.perf_counter() - began
        run.history.append(DigitEpoch(len(run.history) + 1, seconds, loss, train_step, **vars(answered)))
        history = [row.to_json() for row in run.history]
        write_checkpoint(kept, plain_settings(settings), run.parts, {"history": history})
    last = {name: value.clone() for name, value in run.network.state_dict().items()}
    return TrainedRun(last, last, run.history)


def start_run(settings: DigitSettings, initial: Weights | None, batches: int) -> DigitRun:
    torch.manual_seed(settings.seed)
    network = settings.build()
    if initial is not None:
        network.load_state_dict(initial)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)

    def rate_at(batch: int) -> float:
        """Share of the learning rate: fixed, as in the paper, or falling to zero over the run."""
        return 1 - (batch // batches + batch % batches / batches) / settings.epochs if settings.varied else 1

    generator = torch.Generator().manual_seed(settings.seed)
    return DigitRun(network, optimiser, LambdaLR(optimiser, rate_at), generator)


def resume_run(run: DigitRun, settings: DigitSettings, path: Path) -> None:
    """Continue from the epoch kept in `path`, if it is one of the same settings."""
    if path.exists() and (saved := read_checkpoint(path))["settings"] == plain_settings(settings):
        restore(run.parts, saved)
        run.history = [DigitEpoch.from_json(row) for row in saved["history"]]


def train_epoch(run: DigitRun, settings: DigitSettings, data: Digits, on_progress: OnProgress) -> tuple[float, float]:
    """Every training image once; returns the mean loss and the mean 1-based step of the answers."""
    batches = torch.randperm(len(data.labels), generator=run.generator).split(settings.batch)
    loss_sum, step_sum = 0.0, 0.0
    for done, rows in enumerate(batches):
        images = mnist.varied(data.images[rows], run.generator) if settings.varied else data.images[rows]
        answers = answer(run.network, settings, mnist.spikes(images))
        loss = rank_coding_loss(answers.logits, data.labels[rows], settings.beta)
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        run.schedule.step()
        loss_sum += loss.item() * len(rows)
        step_sum += float(answers.step.sum()) + len(rows)
        if done % 10 == 0:
            on_progress((len(run.history) + done / len(batches)) / settings.epochs)
    return loss_sum / len(data.labels), step_sum / len(data.labels)


def answer(network: nn.Module, settings: DigitSettings, inputs: Tensor) -> Answers:
    if settings.method is TrainingMethod.EOS:
        return answer_at_end(network, inputs, {})
    return answer_at_first_spike(network, inputs, {}, torch.full((len(inputs),), THETA), range(1, STEPS))


@torch.no_grad()
def answer_test_images(network: nn.Module, settings: DigitSettings, test: Digits) -> SpikeAnswers:
    """Test images, each answered as in training."""
    parts = [answer(network, settings, mnist.spikes(images)) for images in test.images.split(TEST_BATCH)]
    label, step = torch.cat([part.logits.argmax(dim=1) for part in parts]), torch.cat([part.step for part in parts])
    return SpikeAnswers(mean(label == test.labels), mean_step(step))


def measure(network: nn.Module, data: Path, count: int) -> DigitFigures:
    """The first `count` test images."""
    train, test = (mnist.read(data, split, count) for split in ("train", "test"))
    early, outputs = early_threshold(all_outputs(network, train)), all_outputs(network, test)
    cut = [mean(of_step.argmax(dim=1) == test.labels) for of_step in outputs.unbind(1)]
    return DigitFigures(
        **vars(by_first_spike(outputs, test.labels, THETA)),
        answers_at_step=first_crossing(outputs, THETA)[0].bincount(minlength=STEPS).tolist(),
        end_accuracy=cut[-1],
        cut=cut,
        early=EarlyAnswers(**vars(by_first_spike(outputs, test.labels, early)), theta=early),
    )


@torch.no_grad()
def all_outputs(network: nn.Module, digits: Digits) -> Tensor:
    """Outputs [images, steps, labels]."""
    batches: Sequence[Tensor] = digits.images.split(TEST_BATCH)
    return torch.cat([network(mnist.spikes(images), {})[0].softmax(dim=2) for images in batches])


def by_first_spike(outputs: Tensor, labels: Tensor, theta: float) -> SpikeAnswers:
    step, _ = first_crossing(outputs, theta)
    answers = outputs[torch.arange(len(step)), step].argmax(dim=1)
    return SpikeAnswers(mean(answers == labels), mean_step(step))


def early_threshold(outputs: Tensor) -> float:
    """The highest of THRESHOLDS by which the mean step is at most EARLY; at the lowest every answer is at step 1."""
    return max(theta for theta in THRESHOLDS if first_crossing(outputs, theta)[0].float().mean() + 1 <= EARLY)


def mean(right: Tensor) -> float:
    return float(right.double().mean())


def mean_step(step: Tensor) -> float:
    """Mean 1-based step."""
    return float(step.float().mean() + 1)
