"""The training loop on a tiny data set: it learns, answers early, stops, and resumes where it stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.tiny_run import CPU, LABELS, SETTINGS
from tests.support.toy_dataset import write_words
from training.data.labels import Labels
from training.data.sources import DataSources
from training.data.training_data import TrainingData, load_training_data
from training.learning.carried_state import starting_state
from training.learning.checkpoint import CheckpointError
from training.learning.loop import train
from training.learning.settings import TrainingMethod
from training.learning.thresholds import draw_thresholds
from training.model.network import Network


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_training_data(DataSources(write_words(tmp_path_factory.mktemp("words"))), LABELS)


@pytest.fixture(scope="module")
def one_epoch(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of one epoch, only to be read."""
    folder = tmp_path_factory.mktemp("one-epoch")
    train(replace(SETTINGS, epochs=1), data, folder, CPU)
    return folder


@pytest.mark.learns
def test_rank_coding_learns_and_answers_earlier_than_the_last_step(data: TrainingData, tmp_path: Path) -> None:
    rc = train(SETTINGS, data, tmp_path / "rc", CPU).history[-1]
    eos = train(replace(SETTINGS, method=TrainingMethod.EOS), data, tmp_path / "eos", CPU).history[-1]
    assert rc.validation_accuracy > 0.9
    assert eos.validation_end_accuracy > 0.9
    assert rc.spike_s is not None
    assert rc.spike_s < 0.85
    assert eos.spike_s == 1.0


@pytest.mark.parametrize("streams", [False, True])
def test_a_resumed_run_equals_one_that_was_never_stopped(data: TrainingData, tmp_path: Path, streams: bool) -> None:
    stopped = replace(SETTINGS, epochs=3, streams=streams)
    through = train(stopped, data, tmp_path / "through", CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.learning.loop.should_continue", lambda run, settings: run.epoch < 1)
        train(stopped, data, tmp_path / "resumed", CPU)
    resumed = train(stopped, data, tmp_path / "resumed", CPU, resume=True)
    assert [row.loss for row in resumed.history] == [row.loss for row in through.history]
    for name, value in through.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], value, atol=0, rtol=0)


def test_without_carried_state_every_sequence_begins_with_zeros() -> None:
    network, generator = Network(SETTINGS.network), torch.Generator().manual_seed(0)
    carried = {name: value + 1 for name, value in network.initial_state(3).items()}
    for share, begins in ((0.0, {0.0}), (1.0, {1.0})):
        state = starting_state(network, carried, 5, share, generator)
        assert set(state["h"].unique().tolist()) == begins


def test_a_run_of_other_settings_does_not_resume(data: TrainingData, one_epoch: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a run with the same settings, got other beta"):
        train(replace(SETTINGS, epochs=1, beta=0.5), data, one_epoch, CPU, resume=True)


@pytest.mark.parametrize("setting", ["min_batches", "carry_share"])
def test_a_run_from_before_a_setting_existed_resumes(
    data: TrainingData, one_epoch: Path, tmp_path: Path, setting: str
) -> None:
    saved = torch.load(one_epoch / "last.pt", weights_only=True)
    del saved["settings"][setting]
    torch.save(saved, tmp_path / "last.pt")
    assert train(replace(SETTINGS, epochs=1), data, tmp_path, CPU, resume=True).epoch == 1


def test_a_run_begins_with_the_averaged_weights_of_another(data: TrainingData, tmp_path: Path) -> None:
    first = train(replace(SETTINGS, epochs=1), data, tmp_path / "first", CPU)
    first_weights = str(tmp_path / "first" / "last.pt")
    second = train(
        replace(SETTINGS, epochs=1, initial_checkpoint=first_weights, learning_rate=0.0), data, tmp_path / "second", CPU
    )
    labels = Labels(("down", "up"))
    third = train(
        replace(SETTINGS, epochs=1, initial_checkpoint=first_weights, learning_rate=0.0, labels=labels),
        data,
        tmp_path / "third",
        CPU,
    )
    averaged = first.average.module.state_dict()
    assert not torch.equal(third.network.output.weight, averaged["output.weight"])
    for name, value in averaged.items():
        torch.testing.assert_close(second.network.state_dict()[name], value, atol=0, rtol=0)
        if not name.startswith("output"):
            torch.testing.assert_close(third.network.state_dict()[name], value, atol=0, rtol=0)


def test_a_run_stops_when_validation_no_longer_improves(data: TrainingData, tmp_path: Path) -> None:
    run = train(replace(SETTINGS, learning_rate=0.0, patience=2, epochs=10), data, tmp_path, CPU)
    assert (run.epoch, run.best_epoch) == (5, 3)  # the last while augmentation grows


def test_every_epoch_and_checkpoint_has_its_facts(data: TrainingData, tmp_path: Path) -> None:
    train(replace(SETTINGS, epochs=2), data, tmp_path, CPU)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    facts = json.loads((tmp_path / "best.json").read_text())
    assert facts["settings"]["labels"] == list(LABELS.all)
    assert facts["validation_accuracy"] == max(row["validation_accuracy"] for row in rows)
    assert "120 train clips by 30 speakers" in facts["data"]


def test_thresholds_are_drawn_evenly_in_log_odds() -> None:
    drawn = draw_thresholds(replace(SETTINGS, theta=0.99, theta_low=0.5), 4000, torch.Generator().manual_seed(0))
    assert 0.5 <= drawn.min() < 0.51
    assert 0.989 < drawn.max() <= 0.99
    assert drawn.median().item() == pytest.approx(1 / (1 + 99**-0.5), abs=0.01)  # half of the log-odds of 0.99
