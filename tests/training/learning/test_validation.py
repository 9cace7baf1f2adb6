"""Accuracy and time of the first spike, threshold by threshold."""

import pytest
import torch

from tests.support.tiny_run import SETTINGS
from training.learning.validation import spike_points


def test_a_higher_threshold_answers_later_and_may_answer_better() -> None:
    first = [[0.7, 0.3], [0.1, 0.9]]  # wrong at its first step by a low threshold
    second = [[0.05, 0.95], [0.05, 0.95]]
    low, high = spike_points(SETTINGS, torch.tensor([first, second]), torch.tensor([1, 1]), [0.6, 0.8])
    assert low == pytest.approx((0.5, SETTINGS.step_s))
    assert high == pytest.approx((1.0, 1.5 * SETTINGS.step_s))
