"""The value of waiting: seen from the past alone, and worth more than a threshold where outputs flicker."""

import math

import pytest
import torch
from torch import Tensor

from training.evaluation.waiting import (
    Regression,
    delayed,
    features_of,
    first_stop,
    steps_unchanged,
    stops,
    worth_of_next,
)

KEYWORDS, LABELS, STEPS, STEP_S = 2, 4, 20, 0.02


def probabilities(clips: int) -> tuple[Tensor, Tensor]:
    """Certain of a keyword from a random step on; of every second clip the label flickers until the last five steps."""
    generator = torch.Generator().manual_seed(0)
    right = torch.randint(KEYWORDS, (clips,), generator=generator)
    begin = torch.randint(2, 8, (clips, 1), generator=generator)
    steps = torch.arange(STEPS)
    flicker = (torch.arange(clips)[:, None] % 2 == 0) & (steps < STEPS - 5)
    label = torch.where(flicker, torch.randint(KEYWORDS, (clips, STEPS), generator=generator), right[:, None])
    outputs = torch.full((clips, STEPS, LABELS), 1 / LABELS)
    sure = torch.full((clips, STEPS, LABELS), 0.02).scatter(2, label[:, :, None], 0.94)
    return torch.where((steps >= begin)[:, :, None], sure, outputs), right


def test_a_feature_depends_on_no_later_step() -> None:
    outputs, _ = probabilities(6)
    whole = features_of(outputs, KEYWORDS, STEP_S)
    for steps in (1, 7, 13):
        torch.testing.assert_close(features_of(outputs[:, :steps], KEYWORDS, STEP_S), whole[:, :steps])
    assert whole.isfinite().all()


def test_waiting_pays_where_the_label_flickers_and_no_threshold_knows() -> None:
    outputs, right_label = probabilities(400)
    highest, label = outputs.max(2)
    right = label == right_label[:, None]
    features, cost = features_of(outputs, KEYWORDS, STEP_S), 1.0

    def gain(stop: Tensor) -> float:
        step = first_stop(stop)
        return (right.gather(1, step[:, None]).float().mean() - cost * STEP_S * step.float().mean()).item()

    threshold = max((highest >= theta for theta in (0.2, 0.9, 0.99)), key=gain)
    weights = Regression(features, right, STEP_S).fit(cost, threshold)
    assert gain(stops(features, weights)) > gain(threshold) + 0.02


def test_waiting_that_costs_too_much_ends_once_a_word_has_begun() -> None:
    outputs, right_label = probabilities(100)
    right = outputs.argmax(2) == right_label[:, None]
    features = features_of(outputs, KEYWORDS, STEP_S)
    weights = Regression(features, right, STEP_S).fit(100.0, torch.zeros_like(right))
    begun = (outputs.amax(2) > 0.9).int().argmax(1)
    assert first_stop(stops(features, weights)).tolist() == begun.tolist()


def test_the_worth_of_the_next_stop() -> None:
    worth, stop = torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([[True, False, True, False]])
    assert worth_of_next(worth, stop).tolist() == [pytest.approx([0.3, 0.3, 0.4])]


def test_for_how_long_a_label_has_been_the_likeliest() -> None:
    assert steps_unchanged(torch.tensor([[3, 3, 1, 1, 1, 3]])).tolist() == [[1, 2, 1, 2, 3, 1]]


def test_values_some_steps_before() -> None:
    assert delayed(torch.tensor([[1, 2, 3, 4]]), 2).tolist() == [[1, 1, 1, 2]]
    assert delayed(torch.tensor([[1, 2]]), 5).tolist() == [[1, 1]]


def test_without_a_stop_the_last_step_answers() -> None:
    assert first_stop(torch.tensor([[False, False], [True, True]])).tolist() == [1, 0]
    assert math.isfinite(features_of(torch.full((1, 3, LABELS), 1 / LABELS), KEYWORDS, STEP_S).sum().item())
