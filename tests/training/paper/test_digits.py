"""The networks of temporal MNIST: causal in any cut; their training is repeatable and resumes after a stop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.toy_mnist import write_digits
from training.learning.rank_coding import answer_at_first_spike
from training.learning.settings import TrainingMethod
from training.model.frontend import State
from training.paper import digits, mnist
from training.paper.digit_networks import ConvLstm
from training.paper.run_pool import TrainedRun

TINY = digits.DigitSettings(
    "tiny", "convlstm", 2, TrainingMethod.RC, epochs=3, seed=1, beta=0.1, batch=12, learning_rate=0.01
)
IMAGES = torch.randint(256, (4, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("mnist"), train=36, test=20)


@pytest.mark.parametrize("network", ["lstm", "convlstm"])
def test_step_by_step_is_the_whole(network: str) -> None:
    built, spikes = replace(TINY, network=network).build(), mnist.spikes(IMAGES)
    whole, _ = built(spikes, {})
    parts, state = [], State()
    for part in spikes.split([1, 4, 5], dim=1):
        logits, state = built(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    assert whole.shape == (4, 10, 10)


def test_the_convolutional_network_is_the_lstm_of_its_gates() -> None:
    """With one map and kernels that see their centre alone, every pixel is an LSTM of one unit."""
    built = ConvLstm(1, (3, 3))
    lstm = torch.nn.LSTM(1, 1, batch_first=True)
    weights = [lstm.get_parameter(name) for name in ("weight_ih_l0", "weight_hh_l0")]
    bias = lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")
    order = [0, 1, 3, 2]  # torch has input, forget, candidate, output; here the output gate is third
    with torch.no_grad():
        for convolution, weight in zip((built.input_conv, built.hidden_conv), weights, strict=True):
            convolution.weight.zero_()
            convolution.weight[:, 0, 1, 1] = weight[order, 0]
        built.input_conv.get_parameter("bias").copy_(bias[order])
        spikes = mnist.spikes(IMAGES)
        _, state = built(spikes, {})
        _, (h, _) = lstm(spikes.permute(0, 2, 3, 1).reshape(-1, 10, 1))
    torch.testing.assert_close(state["h"].flatten(), h.flatten())


def run(data: Path, folder: Path, settings: digits.DigitSettings = TINY, stop: float = 2.0) -> TrainedRun:
    def on_progress(share: float) -> None:
        if share > stop:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    return digits.train(settings, None, on_progress, data, folder)


@pytest.mark.parametrize("varied", [False, True])
def test_a_stopped_run_resumes_to_the_same_end(data: Path, tmp_path: Path, varied: bool) -> None:
    settings = replace(TINY, varied=varied)
    whole = run(data, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "stopped", settings, stop=0.4)  # in the second epoch of three
    resumed = run(data, tmp_path / "stopped", settings)
    assert all(torch.equal(value, resumed.last[name]) for name, value in whole.last.items())
    assert [replace(row, seconds=0) for row in whole.history] == [replace(row, seconds=0) for row in resumed.history]
    assert [row.epoch for row in resumed.history] == [1, 2, 3]


def test_an_epoch_of_other_settings_is_not_resumed(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path)
    other = replace(TINY, beta=0.3)
    started = digits.start_run(other, None, batches=3)
    digits.resume_run(started, other, tmp_path / "tiny seed 1.epoch")
    assert started.history == []


def test_the_rate_falls_to_zero_or_stays() -> None:
    for varied, rate in ((False, 0.01), (True, 0.0025)):
        settings = replace(TINY, varied=varied)
        run = digits.start_run(settings, None, batches=4)
        for _ in range(9):  # of the twelve batches of three epochs
            run.optimiser.step()
            run.schedule.step()
        assert run.optimiser.param_groups[0]["lr"] == pytest.approx(rate)


def test_what_is_measured_is_what_algorithm_1_answers(data: Path) -> None:
    network, test = TINY.build(), mnist.read(data, "test")
    with torch.no_grad():
        network.output.weight *= 200  # certain enough to spike now and then
    figures = digits.measure(network, data, 20)
    answers = answer_at_first_spike(network, mnist.spikes(test.images), {}, torch.full((20,), 0.95), range(1, 10))
    assert 1 < figures.mean_step < 10
    assert figures.mean_step == pytest.approx(answers.step.double().mean().item() + 1)
    assert figures.accuracy == (answers.logits.argmax(dim=1) == test.labels).double().mean().item()
    assert sum(figures.answers_at_step) == 20
    assert figures.cut[-1] == figures.end_accuracy
    early = answer_at_first_spike(
        network, mnist.spikes(test.images), {}, torch.full((20,), figures.early.theta), range(1, 10)
    )
    assert figures.early.mean_step == pytest.approx(early.step.double().mean().item() + 1)
    assert figures.early.accuracy == (early.logits.argmax(dim=1) == test.labels).double().mean().item()
    answered = digits.answer_test_images(network, TINY, test)
    assert (answered.accuracy, answered.mean_step) == pytest.approx((figures.accuracy, figures.mean_step))


def test_early_is_the_highest_threshold_that_is_early_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images whose highest output grows step by step: at 0.6 half of them wait for step 2, above it all wait."""
    outputs = torch.full((10, 2, 2), 0.5)
    outputs[:, 0, 0] = torch.tensor([0.6] * 5 + [0.5] * 5)
    outputs[:, 1, 0] = 0.96
    monkeypatch.setattr(digits, "EARLY", 1.5)
    assert digits.early_threshold(outputs) == 0.6
    monkeypatch.setattr(digits, "EARLY", 1.4)
    assert digits.early_threshold(outputs) == 0.5
