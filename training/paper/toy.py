"""What the two toy problems share: the network, its training by each method, and answers on new sequences.

Appendix A.1 and A.2 of the paper: an LSTM of 125 units and one sigmoid, binary cross-entropy, Adam at 0.0003, batches
of 128, 2000 validation sequences every 50 batches.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from training.learning.losses import certainty_loss, every_step_loss, rank_coding_loss
from training.learning.rank_coding import answer_at_end, answer_at_first_spike, first_crossing
from training.learning.settings import TrainingMethod
from training.model.frontend import State
from training.paper.run_pool import OnProgress, TrainedRun, Weights
from training.paper.sequences import Floats, Integers
from training.records import Record

BATCH, VALIDATION, VALIDATE_EVERY = 128, 2000, 50
CHUNK = 5  # steps between two looks for spikes
THETA = 0.95  # a positive spike is an output of at least this, a negative one of at most 1 - this

Draw = Callable[[int, np.random.Generator], tuple[Floats, Integers]]


@dataclass(frozen=True)
class ToyScore(Record):
    """Accuracy at the first spike and at the end, mean 1-based step of the first spike and its quartiles."""

    accuracy: float
    end_accuracy: float
    mean_step: float
    q1_step: float
    median_step: float
    q3_step: float


@dataclass(frozen=True)
class ToyRow(ToyScore):
    """The score on validation sequences after a number of training examples."""

    examples: int


@dataclass(frozen=True)
class ToySettings:
    row: ClassVar[type[Record]] = ToyRow

    name: str  # of the run in the report
    method: TrainingMethod  # RC, EOS, ALL_STEPS or CERTAINTY
    examples: int
    seed: int
    beta: float = 0.0
    theta: float = THETA
    theta_low: float = THETA  # each sequence draws its training threshold between these two
    retain: bool = False  # the checkpoint with the most accurate spikes on validation, rather than the last
    initial_run: "ToySettings | None" = None  # begin with its last weights
    hidden: int = 125
    learning_rate: float = 3e-4
    falling_rate: bool = False  # the learning rate falls to zero in a straight line
    clip_norm: float = math.inf  # of gradients; the paper does not clip
    forget_bias: float = 0.0  # more of it in the forget gates at the start: 1 keeps what came many steps before

    @property
    def key(self) -> str:
        """Unique among all runs."""
        return f"{self.name} seed {self.seed}"

    def build(self) -> "SequenceNetwork":
        return SequenceNetwork(self.hidden, self.forget_bias)


class SequenceNetwork(nn.Module):
    """An LSTM and one sigmoid, written as two logits (0, z) so that both classes spike by the same rule."""

    def __init__(self, hidden: int, forget_bias: float = 0.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        with torch.no_grad():
            self.lstm.get_parameter("bias_ih_l0")[hidden : 2 * hidden] += forget_bias
        self.output = nn.Linear(hidden, 1)

    def initial_state(self, batch: int) -> State:
        zeros = torch.zeros(batch, self.lstm.hidden_size)
        return {"h": zeros, "c": zeros}

    def forward(self, sequences: Tensor, state: State) -> tuple[Tensor, State]:
        """Sequences [batch, steps] → logits [batch, steps, 2]."""
        x, (h, c) = self.lstm(sequences.unsqueeze(2), (state["h"].unsqueeze(0), state["c"].unsqueeze(0)))
        z = self.output(x)
        return torch.cat([torch.zeros_like(z), z], dim=2), {"h": h.squeeze(0), "c": c.squeeze(0)}


class ToyAnswers(NamedTuple):
    """By first spike: labels, 0-based steps, whether there was a spike; [sequences] each."""

    label: Integers
    step: Integers
    crossed: NDArray[np.bool_]


def train(settings: ToySettings, initial: Weights | None, on_progress: OnProgress, draw: Draw) -> TrainedRun:
    """Train on new sequences in every batch."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, int(initial is not None)])
    network = settings.build()
    if initial is not None:
        network.load_state_dict(initial)
    batches = math.ceil(settings.examples / BATCH)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = LambdaLR(optimiser, lambda batch: 1 - (batch + 1) / batches if settings.falling_rate else 1.0)
    validation = draw(VALIDATION, np.random.default_rng(10_000 + settings.seed))
    best, retained, history = -1.0, copy_of(network), []
    for batch in range(1, batches + 1):
        sequences, labels = (torch.from_numpy(array) for array in draw(BATCH, rng))
        loss = loss_of(network, sequences.float(), labels, settings)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimiser.step()
        schedule.step()
        if batch % VALIDATE_EVERY == 0 or batch == batches:
            on_progress(batch / batches)
            validated = score(probabilities(network, validation[0]), validation[1])
            history.append(ToyRow(**vars(validated), examples=batch * BATCH))
            if validated.accuracy > best:
                best, retained = validated.accuracy, copy_of(network)
    last = copy_of(network)
    return TrainedRun(retained if settings.retain else last, last, history)


def copy_of(network: SequenceNetwork) -> Weights:
    return {name: value.clone() for name, value in network.state_dict().items()}


def loss_of(network: SequenceNetwork, sequences: Tensor, labels: Tensor, settings: ToySettings) -> Tensor:
    """Equation 7 of the answers or of all steps alike, or cross-entropy of all steps by certainty."""
    if settings.method in (TrainingMethod.RC, TrainingMethod.EOS):
        return rank_coding_loss(answered_logits(network, sequences, settings), labels, settings.beta)
    logits, _ = network(sequences, network.initial_state(len(sequences)))
    if settings.method is TrainingMethod.CERTAINTY:
        return certainty_loss(logits, labels)
    return every_step_loss(logits, labels, settings.beta)


def answered_logits(network: SequenceNetwork, sequences: Tensor, settings: ToySettings) -> Tensor:
    """Logits [batch, 2] of the answers that the loss sees."""
    state = network.initial_state(len(sequences))
    if settings.method is TrainingMethod.EOS:
        return answer_at_end(network, sequences, state).logits
    theta = settings.theta_low + (settings.theta - settings.theta_low) * torch.rand(len(sequences))
    looks = range(CHUNK, sequences.shape[1], CHUNK)
    return answer_at_first_spike(network, sequences, state, theta, looks).logits


@torch.no_grad()
def probabilities(network: SequenceNetwork, sequences: Floats) -> Floats:
    """Probability of label 1 after each step, [sequences, steps]."""
    batches = torch.from_numpy(sequences).float().split(1000)
    parts = [network(batch, network.initial_state(len(batch)))[0].softmax(dim=2)[..., 1] for batch in batches]
    return torch.cat(parts).double().numpy()


def answers(probability: Floats, theta: float | Floats = THETA) -> ToyAnswers:
    """By first spike, from outputs [sequences, steps] of a network or an observer; without one the label at the end.

    The threshold is one number or one per step.
    """
    certainty = torch.from_numpy(np.maximum(probability, 1 - probability)).unsqueeze(2)
    step, crossed = first_crossing(certainty, torch.as_tensor(theta).reshape(1, -1, 1))
    at = step.numpy()
    return ToyAnswers((probability[np.arange(len(at)), at] >= 0.5).astype(np.int64), at, crossed.numpy())


def score(probability: Floats, labels: Integers, theta: float | Floats = THETA) -> ToyScore:
    by_spike = answers(probability, theta)
    q1, median, q3 = np.percentile(by_spike.step + 1, [25, 50, 75])
    return ToyScore(
        accuracy=float((by_spike.label == labels).mean()),
        end_accuracy=float(((probability[:, -1] >= 0.5) == labels).mean()),
        mean_step=float(by_spike.step.mean() + 1),
        q1_step=float(q1),
        median_step=float(median),
        q3_step=float(q3),
    )
