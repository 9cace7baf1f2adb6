"""The shared network of the toy problems: its answers follow Algorithm 1, its training is repeatable."""

import numpy as np
import torch

from training.learning.rank_coding import answer_at_first_spike
from training.learning.settings import TrainingMethod
from training.paper import toy
from training.paper.sequences import two_sequence

TINY = toy.ToySettings("tiny", TrainingMethod.RC, examples=512, seed=3, hidden=8, learning_rate=0.01)


def test_answers_at_the_first_certain_step_or_at_the_end() -> None:
    answers = toy.answers(np.array([[0.5, 0.02, 0.99], [0.6, 0.7, 0.4]]), 0.95)
    assert answers.label.tolist() == [0, 0]
    assert answers.step.tolist() == [1, 2]
    assert answers.crossed.tolist() == [True, False]


def test_thresholds_may_differ_from_step_to_step() -> None:
    outputs = np.array([[0.9, 0.9, 0.9]])
    assert toy.answers(outputs, np.array([0.95, 0.8, 0.5])).step.tolist() == [1]


def test_what_is_measured_is_what_training_saw() -> None:
    """Answers of whole sequences are those of Algorithm 1, which runs in chunks and drops sequences as it goes."""
    torch.manual_seed(0)
    network = toy.SequenceNetwork(8)
    with torch.no_grad():
        network.output.weight *= 60  # certain enough to spike now and then
    sequences, _ = two_sequence(200, np.random.default_rng(0))
    whole = toy.answers(toy.probabilities(network, sequences), 0.8)
    theta = torch.full((200,), 0.8)
    parts = answer_at_first_spike(
        network, torch.from_numpy(sequences).float(), network.initial_state(200), theta, range(5, 25, 5)
    )
    assert 0 < whole.crossed.sum() < 200
    assert (parts.step.numpy() == whole.step).all()
    assert (parts.logits.argmax(dim=1).numpy() == whole.label).all()


def test_the_same_seed_trains_the_same_network() -> None:
    shares: list[float] = []
    one, other = (toy.train(TINY, None, shares.append, two_sequence) for _ in range(2))
    assert all(torch.equal(one.last[name], other.last[name]) for name in one.last)
    assert one.history == other.history
    assert shares[-1] == 1.0


def test_a_run_continues_from_the_weights_of_another() -> None:
    first = toy.train(TINY, None, lambda share: None, two_sequence)
    still = toy.ToySettings(
        "still", TrainingMethod.RC, examples=512, seed=3, hidden=8, learning_rate=0.0, initial_run=TINY
    )
    after = toy.train(still, first.last, lambda share: None, two_sequence)
    assert all(torch.equal(first.last[name], after.chosen[name]) for name in first.last)
    assert any(not torch.equal(first.last[name], value) for name, value in toy.SequenceNetwork(8).state_dict().items())
