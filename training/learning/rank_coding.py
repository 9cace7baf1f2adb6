"""Rank coding: Algorithm 1 of Jeffares et al., ICLR 2022 (arXiv 2110.02865).

Owns when a sequence answers. Knows nothing of losses, data, optimisers or audio.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.model.frontend import State

NO_KEYWORD = -1

Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Sequences(Protocol):
    """Inputs [batch, stride * steps, ...]: a tensor, or an object that computes parts of one on access."""

    @property
    def shape(self) -> torch.Size:
        """Of the whole: [batch, stride * steps, ...]."""
        ...

    def __getitem__(self, where: Any) -> Tensor: ...


class Answers(NamedTuple):
    """The answer of each sequence of a batch, or of each window of a batch of streams."""

    logits: Tensor  # [batch, labels] at the spike
    step: Tensor  # int64 [batch]: 0-based index of the step that answered
    crossed: Tensor  # bool [batch]; False: no output reached the threshold, the last step answered
    steps_run: Tensor  # int64 [batch]: how many steps of the sequence the network ran


def first_crossing(probabilities: Tensor, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
    """Equation 1: the first step at which any output reaches the threshold.

    Args:
        probabilities: [batch, steps, labels], 0 to 1.
        threshold: one number, or a tensor that broadcasts against the probabilities, such as [batch, 1, 1].

    Returns:
        The 0-based step [batch], int64, which is the last one without a crossing (line 4 of Algorithm 1); and whether
        there was a crossing, bool [batch].
    """
    over = (probabilities >= threshold).any(dim=2)
    crossed = over.any(dim=1)
    last = torch.full_like(crossed, over.shape[1] - 1, dtype=torch.long)
    return torch.where(crossed, over.int().argmax(dim=1), last), crossed


def answer_at_first_spike(
    network: Step, inputs: Sequences, state: State, theta: Tensor, looks: Iterable[int], stride: int = 1
) -> Answers:
    """Algorithm 1 for a batch: run some steps at a time, and take each sequence out once an output reached `theta`.

    Only the spike's logits are returned, so that a loss on them back-propagates from the spike alone, and neither pass
    touches a sequence after the look that follows its spike.

    Args:
        network: (inputs, state) → (logits [batch, steps, labels], next state), causal.
        inputs: [batch, stride * steps, ...].
        state: of the network before the first step, [batch, ...] each.
        theta: thresholds [batch], 0 to 1.
        looks: after how many steps to look for spikes, ascending; they change the cost, not the answers.
        stride: inputs per step of the network.

    Returns:
        The answers, in the order of the batch.
    """
    alive = torch.arange(len(theta), device=theta.device)
    order, parts, start, steps = [], [], 0, inputs.shape[1] // stride
    for stop in (*(look for look in looks if look < steps), steps):
        logits, state = network(inputs[alive, start * stride : stop * stride], state)
        step, crossed = first_crossing(logits.detach().softmax(dim=2), theta[alive, None, None])
        done = crossed if stop < steps else torch.ones_like(crossed)
        rows = done.nonzero().squeeze(1)
        order.append(alive[rows])
        steps_run = torch.full_like(rows, stop)
        parts.append(Answers(logits[rows, step[rows]], step[rows] + start, crossed[rows], steps_run))
        if len(rows) == len(alive):
            break
        if len(rows):
            rest = (~done).nonzero().squeeze(1)
            alive, state = alive[rest], {name: value[rest] for name, value in state.items()}
        start = stop
    return in_order(parts, torch.cat(order))


def answer_at_end(network: Step, inputs: Sequences, state: State) -> Answers:
    """Conventional training: every sequence answers at its last step, whatever its outputs were before.

    Args:
        network: (inputs, state) → (logits [batch, steps, labels], next state).
        inputs: [batch, stride * steps, ...].
        state: of the network before the first step, [batch, ...] each.

    Returns:
        The answers, none of them crossed.
    """
    return at_last_step(network(inputs[:, :], state)[0])


def at_last_step(logits: Tensor) -> Answers:
    """The answers of sequences that were run to their end.

    Args:
        logits: [batch, steps, labels] of all steps.

    Returns:
        The answers, none of them crossed.
    """
    steps_run = logits.new_full((len(logits),), logits.shape[1], dtype=torch.long)
    return Answers(logits[:, -1], steps_run - 1, torch.zeros_like(steps_run, dtype=torch.bool), steps_run)


class Windows(NamedTuple):
    """Spans of steps in a batch of streams and the right answer in each; all are int64 [windows]."""

    row: Tensor  # index of the stream in the batch
    start: Tensor  # first step
    stop: Tensor  # step after the last one
    label: Tensor  # index of a keyword, or NO_KEYWORD


def answer_in_windows(logits: Tensor, windows: Windows, keywords: int, theta: Tensor, confirm: int) -> Answers:
    """Algorithm 1 in every window of a batch of streams.

    A score crosses its threshold once it has stayed there for `confirm` steps more; the step of the answer is that of
    the lowest of these scores. A window with a keyword is answered where any keyword first crosses, else at its last
    step. One without is answered where a keyword comes nearest to crossing, which is the worst case.

    Args:
        logits: [streams, steps, labels], of which the first `keywords` labels are keywords.
        windows: what is to be answered.
        keywords: number of keywords.
        theta: thresholds [windows], 0 to 1.
        confirm: how many further steps a score must stay at its threshold.

    Returns:
        One answer per window; its step counts from the start of the stream.
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
    """The lowest probability of each step and the steps before it.

    Args:
        probabilities: [batch, steps, labels].
        confirm: number of steps before. Those before the first step count as probability 0.

    Returns:
        The lowest probabilities [batch, steps, labels], and the 0-based steps [batch, steps, labels] that have them.
    """
    spans = pad(probabilities, (0, 0, confirm, 0)).unfold(1, confirm + 1, 1)
    lowest, back = spans.min(3)
    steps = torch.arange(probabilities.shape[1], device=probabilities.device)
    return lowest, (steps[:, None] - confirm + back).clamp(min=0)


def in_order(parts: list[Answers], order: Tensor) -> Answers:
    """Answers in the order in which the sequences left the batch, put back to their places `order` [batch]."""
    back = order.argsort()
    return Answers(*(torch.cat(column)[back] for column in zip(*parts, strict=True)))
