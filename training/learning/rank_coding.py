"""Rank coding: Algorithm 1 of Jeffares et al., ICLR 2022 (arXiv 2110.02865).

Owns when a sequence answers. Knows nothing of losses, data, optimisers or audio.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.model.frontend import State

NO_KEYWORD = -1

Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Sequences(Protocol):
    """Inputs [batch, stride * steps, ...]: a tensor, or what makes a piece of one when it is asked for."""

    @property
    def shape(self) -> torch.Size: ...

    def __getitem__(self, where: Any) -> Tensor: ...


class Answers(NamedTuple):
    """What each sequence of a batch answered: its logits [batch, labels] at its spike, and the step [batch]."""

    logits: Tensor
    step: Tensor  # 0-based index of the step that answered
    crossed: Tensor  # bool [batch]; False: no output reached the threshold, the last step answered
    steps_run: Tensor  # how many steps of it the network ran, [batch]


def first_crossing(probabilities: Tensor, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
    """First step [batch] at which any output of [batch, steps, labels] reaches the threshold, and whether one does.

    Equation 1; the threshold is one number or [batch, 1, 1]. Without a crossing the step is the last one (line 4).
    """
    over = (probabilities >= threshold).any(dim=2)
    crossed = over.any(dim=1)
    last = torch.full_like(crossed, over.shape[1] - 1, dtype=torch.long)
    return torch.where(crossed, over.int().argmax(dim=1), last), crossed


def answer_at_first_spike(
    network: Step, inputs: Sequences, state: State, theta: Tensor, chunk: int, stride: int = 1
) -> Answers:
    """Algorithm 1 for a batch: run `chunk` steps at a time, and take each sequence out once an output reached `theta`.

    `inputs` [batch, stride * steps, ...], `theta` [batch]. Only the spike's logits are returned, so that a loss on them
    back-propagates from the spike alone, and neither pass touches a sequence after the chunk of its spike.
    """
    alive = torch.arange(len(theta), device=theta.device)
    order, parts = [], []
    for start in range(0, inputs.shape[1], chunk * stride):
        piece = inputs[alive, start : start + chunk * stride]
        logits, state = network(piece, state)
        step, crossed = first_crossing(logits.detach().softmax(dim=2), theta[alive, None, None])
        at_end = start + chunk * stride >= inputs.shape[1]
        done = torch.ones_like(crossed) if at_end else crossed
        rows = done.nonzero().squeeze(1)
        spikes = logits[rows, step[rows]]
        order.append(alive[rows])
        steps_run = torch.full_like(rows, start // stride + logits.shape[1])
        parts.append(Answers(spikes, step[rows] + start // stride, crossed[rows], steps_run))
        if len(rows) == len(alive):
            break
        if len(rows):
            rest = (~done).nonzero().squeeze(1)
            alive, state = alive[rest], {name: value[rest] for name, value in state.items()}
    return in_order(parts, torch.cat(order))


def answer_at_end(network: Step, inputs: Sequences, state: State) -> Answers:
    """Conventional training: every sequence answers at its last step, whatever its outputs did before."""
    return at_last_step(network(inputs[:, :], state)[0])


def at_last_step(logits: Tensor) -> Answers:
    """The answers of sequences that were run to their end, from the logits [batch, steps, labels] of all steps."""
    steps_run = logits.new_full((len(logits),), logits.shape[1], dtype=torch.long)
    return Answers(logits[:, -1], steps_run - 1, torch.zeros_like(steps_run, dtype=torch.bool), steps_run)


class Windows(NamedTuple):
    """Spans of steps in a batch of streams and what is to be answered in each; int64 [windows] all."""

    row: Tensor
    start: Tensor
    stop: Tensor  # exclusive
    label: Tensor  # of a keyword, or NO_KEYWORD


def answer_in_windows(logits: Tensor, windows: Windows, keywords: int, theta: Tensor, confirm: int) -> Answers:
    """Algorithm 1 in every window of a batch of streams, whose labels begin with the `keywords`; `theta` [windows].

    A score crosses its threshold once it has stood there for `confirm` steps more, and what it stood on is the lowest
    of them: that is the step of the answer. A window with a keyword is answered where any keyword first crosses, else
    at its last step. One without is answered where a keyword comes nearest to it: the worst that can happen there.
    """
    probabilities = logits.detach().softmax(2)[..., :keywords]
    lowest, where = sliding_minimum(probabilities, confirm)
    keyword = windows.label != NO_KEYWORD
    wait = confirm * keyword
    steps = torch.arange(logits.shape[1], device=logits.device)
    start, stop = windows.start + wait, (windows.stop + wait).clamp(max=len(steps))
    inside = (steps >= start[:, None]) & (steps < stop[:, None])
    likeliest, label = lowest[windows.row].max(2)
    likeliest = likeliest.where(inside, -1.0)
    first, crossed = first_crossing(likeliest[:, :, None], theta[:, None, None])
    at = torch.where(keyword, torch.where(crossed, first, stop - 1), likeliest.argmax(1))
    spoken = torch.where(keyword & ~crossed, windows.label, label[torch.arange(len(at), device=at.device), at])
    step = where[windows.row, at, spoken]
    return Answers(logits[windows.row, step], step, crossed, torch.full_like(step, logits.shape[1]))


def sliding_minimum(probabilities: Tensor, confirm: int) -> tuple[Tensor, Tensor]:
    """At each step of [batch, steps, labels] the lowest of it and the `confirm` steps before, and which step that was.

    Nothing has stood before the first step.
    """
    spans = pad(probabilities, (0, 0, confirm, 0)).unfold(1, confirm + 1, 1)
    lowest, back = spans.min(3)
    steps = torch.arange(probabilities.shape[1], device=probabilities.device)
    return lowest, (steps[:, None] - confirm + back).clamp(min=0)


def in_order(parts: list[Answers], order: Tensor) -> Answers:
    """Answers gathered as the sequences left, put back where `order` [batch] says they stood."""
    back = order.argsort()
    return Answers(*(torch.cat(column)[back] for column in zip(*parts, strict=True)))
