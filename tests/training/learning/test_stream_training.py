"""Training on labelled streams: it learns a toy data set, resumes exactly, and its loss counts what it should."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.tiny_run import CPU, LABELS, SETTINGS
from tests.support.toy_dataset import write_words
from training.data.augment import Augmenter, AugmentSettings
from training.data.corpus import LOUDNESS
from training.data.sources import DataSources
from training.data.training_data import TrainingData, load_training_data
from training.learning import stream_training
from training.learning.carried_state import carry
from training.learning.labelled_streams import LabelledStreams
from training.learning.losses import labelled_steps_loss
from training.learning.rank_coding import NO_KEYWORD
from training.learning.settings import TrainingMethod
from training.learning.stream_training import StreamBatches, composed_ahead, through_microphone, train_on_streams

STREAMS = replace(
    SETTINGS, method=TrainingMethod.STREAMS, front_end=replace(SETTINGS.front_end, pcen=True), min_batches=12, epochs=25
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_training_data(DataSources(write_words(tmp_path_factory.mktemp("words"))), LABELS)


def test_it_learns(data: TrainingData, tmp_path: Path) -> None:
    history = train_on_streams(STREAMS, data, tmp_path, CPU).history
    assert history[-1].validation_end_accuracy > 0.9
    assert history[-1].loss < history[0].loss


def test_a_resumed_run_equals_an_uninterrupted_one(data: TrainingData, tmp_path: Path) -> None:
    settings = replace(STREAMS, epochs=3, min_batches=2)
    whole = train_on_streams(settings, data, tmp_path / "whole", CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.learning.stream_training.is_unfinished", lambda run, settings: run.epoch < 1)
        train_on_streams(settings, data, tmp_path / "resumed", CPU)
    resumed = train_on_streams(settings, data, tmp_path / "resumed", CPU, resume=True)
    assert [metrics.loss for metrics in resumed.history] == [metrics.loss for metrics in whole.history]
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], value, atol=0, rtol=0)


@pytest.mark.parametrize("processors", [1, 3])
def test_batches_are_the_same_however_many_processes_compose_them(
    processors: int, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(STREAMS, min_batches=5)
    batches = StreamBatches(LabelledStreams(data.corpus, LABELS, settings.step_s), settings, epoch=2, strength=1.0)
    monkeypatch.setattr(stream_training, "processors", lambda: processors)
    for batch, expected in zip(composed_ahead(batches), [batches[index] for index in range(5)], strict=True):
        for ahead, now in zip(batch, expected, strict=True):
            assert torch.equal(ahead, now)


def test_any_label_but_a_keyword_is_right_where_there_is_none() -> None:
    targets, weights = torch.tensor([[NO_KEYWORD]]), torch.ones(1, 1)
    for probabilities, expected in (
        ([0.1, 0.1, 0.7, 0.1], 0.8),
        ([0.1, 0.1, 0.1, 0.7], 0.8),
        ([0.6, 0.2, 0.1, 0.1], 0.2),
    ):
        loss = labelled_steps_loss(torch.tensor([[probabilities]]).log(), targets, weights, keywords=2)
        assert loss.exp().item() == pytest.approx(1 / expected)


def test_steps_without_weight_do_not_count() -> None:
    logits = torch.randn(2, 3, 4)
    targets, weights = torch.tensor([[0, 1, 2], [3, NO_KEYWORD, 1]]), torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    loss = labelled_steps_loss(logits, targets, weights, keywords=2)
    torch.testing.assert_close(loss, -logits[0, 0].log_softmax(0)[0])


def test_only_streams_that_begin_lose_their_state() -> None:
    initial = {"h": torch.zeros(2, 3), "conv0": torch.zeros(2, 2, 2)}
    carried = carry({name: value + 1 for name, value in initial.items()}, initial, torch.tensor([True, False]))
    assert all((value[0] == 0).all() and (value[1] == 1).all() for value in carried.values())


def test_a_microphone_never_leaves_full_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    augmenter = Augmenter(AugmentSettings(), torch.zeros(9), torch.ones(1, 1), generator)
    samples = through_microphone(LOUDNESS * torch.randn(50, 4000, generator=generator), augmenter)
    assert samples.abs().max() == 1
    assert samples.square().mean(dim=1).sqrt().min() < 0.2 * LOUDNESS
