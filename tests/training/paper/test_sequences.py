"""The toy problems: labels by another way, posteriors against counting, limits against known ones."""

import numpy as np
import pytest

from training.paper import sequences as sq
from training.paper.toy import answers


def test_spotting_labels_by_looking_for_the_runs() -> None:
    sequences, labels = sq.spotting(2000, np.random.default_rng(0))
    assert 0.4 < labels.mean() < 0.7
    for sequence, label, step in zip(sequences.astype(int), labels, sq.earliest(sequences), strict=True):
        text = "".join(map(str, sequence))
        ends = [text.find(run) + 4 for run in ("00000", "11111") if run in text]
        assert label == bool(ends)
        assert step == (min(ends) if ends else 24)


def test_spotting_posterior_is_the_share_of_positive_sequences() -> None:
    """Among many sequences with the same posterior after some steps, that share is positive."""
    sequences, labels = sq.spotting(40_000, np.random.default_rng(1))
    posterior = sq.spotting_posterior(sequences)
    for step in (0, 10, 20):
        for value in np.unique(posterior[:, step].round(6)):
            same = np.isclose(posterior[:, step], value, atol=1e-6)
            spread = 4 * np.sqrt(value * (1 - value) / same.sum()) + 1e-9
            assert abs(labels[same].mean() - value) <= spread
    assert ((posterior[:, -1] > 0.5) == labels).all()


def test_the_spotting_observer_spikes_only_when_certain() -> None:
    """What the docstring says of thresholds between 15/16 and 1."""
    posterior = sq.spotting_posterior(sq.spotting(5000, np.random.default_rng(3))[0])
    unsure = posterior[(posterior > 0) & (posterior < 1)]
    assert unsure.min() == pytest.approx(1 / 16)
    assert unsure.max() <= 15 / 16


@pytest.fixture(scope="module")
def two() -> tuple[sq.Floats, sq.Integers]:
    """Posteriors and labels of many sequences."""
    sequences, labels = sq.two_sequence(20_000, np.random.default_rng(2))
    return sq.two_sequence_posterior(sequences), labels


@pytest.mark.parametrize(("theta", "accuracy", "mean_step"), [(0.95, 95.0, 15.1), (1.1, 97.0, 40.0)])
def test_the_limit_of_two_sequence_is_the_known_one(
    two: tuple[sq.Floats, sq.Integers], theta: float, accuracy: float, mean_step: float
) -> None:
    posterior, labels = two
    stopped = answers(posterior, theta)
    assert 100 * (stopped.label == labels).mean() == pytest.approx(accuracy, abs=0.6)
    assert (stopped.step + 1).mean() == pytest.approx(mean_step, abs=0.4)


def test_two_sequence_posterior_is_the_share_of_positive_sequences(two: tuple[sq.Floats, sq.Integers]) -> None:
    posterior, labels = two[0][:, 9], two[1]
    for low in (0.1, 0.3, 0.5, 0.7):
        near = (posterior >= low) & (posterior < low + 0.2)
        assert labels[near].mean() == pytest.approx(posterior[near].mean(), abs=0.04)


def test_falling_thresholds_beat_one_threshold_at_the_same_mean_step() -> None:
    rng = np.random.default_rng(5)
    theta = sq.falling_thresholds(sq.two_sequence_posterior(sq.two_sequence(10_000, rng)[0]), cost=0.0032)
    assert theta[5] > theta[30] > theta[39] == 0.5
    posterior = sq.two_sequence_posterior(sq.two_sequence(10_000, rng)[0])
    falling = answers(posterior, theta)
    same_time = [answers(posterior, at) for at in np.linspace(0.9, 0.99, 40)]
    single = min(same_time, key=lambda answered: abs(answered.step.mean() - falling.step.mean()))
    certainty = np.maximum(posterior, 1 - posterior)
    worth = [certainty[np.arange(len(certainty)), answered.step].mean() for answered in (falling, single)]
    assert worth[0] > worth[1] + 0.0005
