"""Algorithm 1 and equation 7, against a literal transcription of the paper's page."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from training.learning.losses import (
    UNCERTAIN,
    certainty_loss,
    every_step_loss,
    max_pool_loss,
    rank_coding_loss,
    windows_loss,
)
from training.learning.rank_coding import (
    NO_KEYWORD,
    Windows,
    answer_at_end,
    answer_at_first_spike,
    answer_in_windows,
    first_crossing,
    sliding_minimum,
)
from training.model.frontend import State
from training.model.network import Network, NetworkSettings

THETA = 0.5
SETTINGS = NetworkSettings(labels=4, bands=5, context=1, hidden=16, dense=8)


def build(steps: int = 23, batch: int = 12) -> tuple[Network, Tensor, Tensor]:
    """A random network, loud enough that some sequences cross THETA at various steps and some never."""
    torch.manual_seed(3)
    network = Network(SETTINGS)
    with torch.no_grad():
        network.output.weight *= 6
    return network, torch.randn(batch, steps, 5), torch.randint(4, (batch,))


def algorithm_1(network: Network, sequence: Tensor, theta: float) -> tuple[Tensor, int, bool]:
    """Lines 3 to 13 for one sequence [steps, bands]: logits at the first spike, its step, whether there was one."""
    state = network.initial_state(1)
    for t in range(len(sequence)):
        logits, state = network(sequence[None, t : t + 1], state)
        if (logits[0, 0].softmax(0) >= theta).any():
            return logits[0, 0], t, True
    return logits[0, 0], len(sequence) - 1, False


def test_first_crossing_is_the_first_step_of_any_output() -> None:
    probabilities = torch.tensor([[[0.6, 0.4], [0.1, 0.9], [0.95, 0.05]], [[0.5, 0.5], [0.6, 0.4], [0.5, 0.5]]])
    step, crossed = first_crossing(probabilities, 0.9)
    assert step.tolist() == [1, 2]
    assert crossed.tolist() == [True, False]


@pytest.mark.parametrize("looks", [range(1, 23), [4, 5, 17], [23], []])
@pytest.mark.parametrize("low", [THETA, 0.46])
def test_batch_equals_algorithm_1(looks: Sequence[int], low: float) -> None:
    """With one threshold as published, and with each sequence its own."""
    network, inputs, targets = build()
    theta = torch.linspace(low, THETA, len(inputs))
    answers = answer_at_first_spike(network, inputs, network.initial_state(len(inputs)), theta, looks)
    rank_coding_loss(answers.logits, targets, 0.2).backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    reference = [algorithm_1(network, sequence, bound) for sequence, bound in zip(inputs, theta.tolist(), strict=True)]
    rank_coding_loss(torch.stack([logits for logits, _, _ in reference]), targets, 0.2).backward()

    assert answers.step.tolist() == [step for _, step, _ in reference]
    assert answers.crossed.tolist() == [crossed for _, _, crossed in reference]
    assert len(set(answers.step.tolist())) > 4
    assert 0 < answers.crossed.sum() < len(inputs)
    for gradient, parameter in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-4)


def test_nothing_after_the_spike_has_a_gradient() -> None:
    network, inputs, targets = build()
    inputs.requires_grad_()
    answers = answer_at_first_spike(
        network, inputs, network.initial_state(len(inputs)), torch.full((len(inputs),), THETA), range(4, 23, 4)
    )
    rank_coding_loss(answers.logits, targets, 0.0).backward()
    assert inputs.grad is not None
    for gradient, step in zip(inputs.grad, answers.step, strict=True):
        assert gradient[step].abs().sum() > 0
        assert gradient[step + 1 :].abs().sum() == 0


def test_sequences_leave_the_batch_at_their_spike() -> None:
    network, inputs, _ = build()
    rows: list[int] = []

    def counting(features: Tensor, state: State) -> tuple[Tensor, State]:
        rows.append(len(features) * features.shape[1])
        result: tuple[Tensor, State] = network(features, state)
        return result

    answers = answer_at_first_spike(
        counting, inputs, network.initial_state(len(inputs)), torch.full((len(inputs),), THETA), range(4, 23, 4)
    )
    needed = [min(23, (step // 4 + 1) * 4) for step in answers.step.tolist()]
    assert answers.steps_run.tolist() == needed
    assert sum(rows) == sum(needed) < inputs.shape[0] * inputs.shape[1]


def test_end_of_sequence_answers_at_the_last_step() -> None:
    network, inputs, _ = build()
    answers = answer_at_end(network, inputs, network.initial_state(len(inputs)))
    expected, _ = network(inputs, network.initial_state(len(inputs)))
    torch.testing.assert_close(answers.logits, expected[:, -1])
    assert answers.step.unique().tolist() == [22]
    assert answers.steps_run.unique().tolist() == [23]


def test_equation_7() -> None:
    logits, target = torch.log(torch.tensor([[0.7, 0.2, 0.1]])), torch.tensor([0])
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))
    for beta in (0.0, 0.3):
        assert rank_coding_loss(logits, target, beta).item() == pytest.approx(-math.log(0.7) - beta * entropy, abs=1e-6)


def test_the_entropy_term_rewards_uncertainty() -> None:
    """With beta the best answer is less certain than without: the gradient at a certain answer changes sign."""
    logits = torch.tensor([[6.0, 0.0, 0.0]], requires_grad=True)
    slopes = []
    for beta in (0.0, 0.5):
        (slope,) = torch.autograd.grad(rank_coding_loss(logits, torch.tensor([0]), beta), logits)
        slopes.append(slope[0, 0].item())
    assert slopes[0] < 0 < slopes[1]


def test_the_loss_of_all_steps_is_equation_7_at_each_of_them() -> None:
    logits, targets = torch.randn(3, 5, 4), torch.tensor([0, 3, 1])
    losses = torch.stack([rank_coding_loss(logits[:, t], targets, 0.2) for t in range(5)])
    torch.testing.assert_close(every_step_loss(logits, targets, 0.2), losses.mean())


def test_a_step_counts_by_its_certainty() -> None:
    even, sure = [0.25, 0.25, 0.25, 0.25], [1 - 3e-9, 1e-9, 1e-9, 1e-9]
    logits = torch.tensor([[even, sure], [even, even]]).log()
    expected = (UNCERTAIN * -math.log(0.25) + 1.0 * 0.0 + 2 * UNCERTAIN * -math.log(0.25)) / 4
    assert certainty_loss(logits, torch.tensor([0, 2])).item() == pytest.approx(expected, abs=1e-6)


def test_the_certainty_of_a_step_is_not_learned() -> None:
    """The gradient of a step is that of its cross-entropy, by its weight: its optimum stays the probability."""
    logits = torch.randn(3, 5, 4, requires_grad=True)
    targets = torch.tensor([0, 3, 1])
    (slopes,) = torch.autograd.grad(certainty_loss(logits, targets), logits)
    (plain,) = torch.autograd.grad(every_step_loss(logits, targets, 0.0), logits)
    weights = (slopes / plain).detach()
    torch.testing.assert_close(weights, weights[..., :1].expand(-1, -1, 4))
    certainty = 1 - torch.distributions.Categorical(logits=logits.detach()).entropy() / math.log(4)
    torch.testing.assert_close(weights[..., 0], UNCERTAIN + (1 - UNCERTAIN) * certainty)


def test_max_pooling_counts_a_keyword_at_its_best_step_and_all_else_at_every_step() -> None:
    probabilities = torch.tensor([[[0.2, 0.8], [0.7, 0.3]], [[0.2, 0.8], [0.7, 0.3]]])
    expected = (-math.log(0.7) - (math.log(0.8) + math.log(0.3)) / 2) / 2
    assert max_pool_loss(probabilities.log(), torch.tensor([0, 1]), 1).item() == pytest.approx(expected, abs=1e-6)


def stream_of(*rows: tuple[float, float, float]) -> Tensor:
    """Logits [1, steps, labels] of these probabilities; the last label is none of the two keywords."""
    return torch.tensor([rows]).log()


LOW, SURE, WRONG = (0.1, 0.1, 0.8), (0.8, 0.1, 0.1), (0.05, 0.9, 0.05)
STREAM = stream_of(LOW, WRONG, LOW, SURE, SURE, LOW, (0.3, 0.2, 0.5), LOW)


def answered(start: int, stop: int, label: int, confirm: int = 0, stream: Tensor = STREAM) -> tuple[int, bool]:
    windows = Windows(*torch.tensor([[0, start, stop, label]]).T)
    answers = answer_in_windows(stream, windows, 2, torch.tensor([0.7]), confirm)
    torch.testing.assert_close(answers.logits, stream[0, answers.step])
    return int(answers.step), bool(answers.crossed)


def test_a_window_with_a_keyword_is_answered_at_the_first_spike_in_it_or_at_its_last_step() -> None:
    assert answered(2, 8, 0) == (3, True)
    assert answered(0, 8, 0) == (1, True)  # of the wrong one: that is what must cost
    assert answered(5, 7, 0) == (6, False)


def test_a_window_without_is_answered_where_keywords_are_likeliest() -> None:
    assert answered(5, 8, NO_KEYWORD)[0] == 6
    assert answered(0, 3, NO_KEYWORD)[0] == 1


def test_with_confirmation_the_answer_is_the_lowest_score_while_it_stayed() -> None:
    less = (0.75, 0.15, 0.1)
    stream = stream_of(LOW, WRONG, LOW, SURE, less, SURE, LOW, LOW)
    assert answered(0, 7, 0, 2, stream) == (4, True)  # steps 3 to 5; the wrong one did not stand
    assert answered(0, 4, 0, 2, stream) == (4, True)  # it may be over before all of it has stood
    assert answered(4, 7, 0, 2, stream) == (6, False)  # what stood before the window does not count
    assert answered(0, 8, NO_KEYWORD, 2, stream)[0] == 4
    assert answered(0, 3, NO_KEYWORD, 1, stream)[0] in (0, 2)  # of either side of the peak, which alone fires nothing


def test_the_lowest_of_the_last_steps_and_where_it_was() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(2, 9, 3, generator=generator)
    lowest, where = sliding_minimum(probabilities, 3)
    for t in range(9):
        span = probabilities[:, max(0, t - 3) : t + 1].amin(1)
        torch.testing.assert_close(lowest[:, t], span if t >= 3 else torch.zeros(2, 3))
        if t >= 3:
            torch.testing.assert_close(probabilities.gather(1, where[:, t : t + 1]).squeeze(1), span)


def test_the_loss_of_windows_is_the_mean_over_both_kinds() -> None:
    logits = torch.tensor([SURE, WRONG, LOW]).log()
    windows = Windows(*torch.tensor([[0, 0, 1, 0], [0, 1, 2, NO_KEYWORD], [0, 2, 3, NO_KEYWORD]]).T)
    expected = -(math.log(0.8) + (math.log(0.05) + math.log(0.8)) / 2) / 2
    assert windows_loss(logits, windows, 2, 0.0).item() == pytest.approx(expected, abs=1e-5)
    none = Windows(*(column[1:] for column in windows))
    assert windows_loss(logits[1:], none, 2, 0.5).item() == pytest.approx(-(math.log(0.05) + math.log(0.8)) / 2)
    keyword = Windows(*(column[:1] for column in windows))
    assert windows_loss(logits[:1], keyword, 2, 0.0).item() == pytest.approx(-math.log(0.8))
