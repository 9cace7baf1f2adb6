"""The cost of an epoch: both methods on the same batches, at the weights of a run, which do not change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import write_words
from training.data.sources import DataSources
from training.data.training_data import TrainingData, load_training_data
from training.learning.checkpoint import CheckpointError
from training.learning.loop import train, train_step
from training.learning.run import TrainingRun
from training.learning.settings import RunSettings, TrainingMethod
from training.studies import epoch_cost
from training.studies.epoch_cost import ALLOWANCE, EpochCost, measure_cost


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_training_data(DataSources(write_words(tmp_path_factory.mktemp("words"), 8, 2)), SETTINGS.labels)


@pytest.fixture(scope="module")
def checkpoint(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(replace(SETTINGS, epochs=1), data, out, CPU)
    return out / "last.pt"


def test_both_methods_are_measured_on_as_many_batches(
    data: TrainingData, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[torch.Tensor] = []
    methods: list[TrainingMethod] = []

    def spy(settings: RunSettings, run: TrainingRun, *arguments: Any) -> Any:
        methods.append(settings.method)
        weights.append(run.network.output.weight.clone())
        return train_step(settings, run, *arguments)

    monkeypatch.setattr(epoch_cost, "train_step", spy)
    cost = measure_cost(replace(SETTINGS, epochs=1), checkpoint, data, batches=2)
    assert methods == [TrainingMethod.RC, TrainingMethod.EOS] * 2
    assert all(torch.equal(weights[0], later) for later in weights)
    assert cost.batches == 2
    assert all(seconds > 0 for seconds in cost.cpu_s.values())
    assert cost.limit == pytest.approx(cost.mean_spike_s + ALLOWANCE, abs=0.002)  # clips last a second
    assert EpochCost.from_json(cost.to_json()) == cost


def test_a_run_of_other_settings_is_refused(data: TrainingData, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="got other batch"):
        measure_cost(replace(SETTINGS, epochs=1, batch=4), checkpoint, data, batches=2)
