"""The parts of a run: its learning rate, its averaged weights, and the weights that it begins with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.paths import ROOT
from tests.support.tiny_run import CPU, SETTINGS
from training.data.corpus import Corpus
from training.data.training_data import ClipSet, TrainingData
from training.learning.checkpoint import read_checkpoint
from training.learning.run import initialise_from, moving_average, rate_at, start_run
from training.learning.settings import RunSettings

WEIGHTS = sorted((ROOT / "models").glob("*/weights.pt"))


def noise_alone() -> TrainingData:
    """Enough for the features to be normalised."""
    samples = torch.randint(-9000, 9000, (4, 16_000), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    clips = ClipSet(samples, torch.tensor([0, 1, 2, 2]))
    corpus = Corpus({}, {}, [], np.zeros(1, np.float32), np.zeros((0, 1), np.float32))
    return TrainingData("noise", clips, clips, torch.zeros(1), torch.ones(1, 1), corpus)


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.parent.name)
def test_a_run_begins_with_the_shipped_weights(path: Path) -> None:
    saved = read_checkpoint(path)
    shipped = RunSettings.from_dict(saved["settings"])
    network = replace(shipped.network, labels=len(SETTINGS.labels))
    other = replace(SETTINGS, network=network, front_end=shipped.front_end, initial_checkpoint=str(path))
    same = replace(shipped, initial_checkpoint=str(path))
    for settings in (same, other):
        run = start_run(settings, noise_alone(), batches=1, device=CPU)
        initialise_from(run, settings)
        taken = {name: value for name, value in run.network.state_dict().items() if not name.startswith("output.")}
        for name, value in taken.items():
            torch.testing.assert_close(value, saved["average"][f"module.{name}"], atol=0, rtol=0)
        torch.testing.assert_close(run.front_end.mean, saved["front_end"]["mean"], atol=0, rtol=0)
        output = run.network.output.weight
        assert (settings is same) == (torch.equal(output, saved["average"]["module.output.weight"]))


def test_the_learning_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    assert rate_at(0.0, 10) == pytest.approx(0.1)
    assert rate_at(1.0, 10) > 0.95
    assert rate_at(10.0, 10) == pytest.approx(0.02)
    run = start_run(replace(SETTINGS, epochs=4, learning_rate=0.5), noise_alone(), batches=3, device=CPU)
    rates = []
    for _ in range(12):
        rates.append(run.optimiser.param_groups[0]["lr"])
        run.optimiser.step()
        run.schedule.step()
    assert rates == [0.5 * rate_at(epoch + batch / 3, 4) for epoch in range(4) for batch in range(3)]


def test_the_average_of_a_young_run_has_fewer_steps() -> None:
    average, new = [torch.zeros(2)], [torch.ones(2)]
    moving_average(average, new, 0)
    torch.testing.assert_close(average[0], torch.full((2,), 0.9))
    average = [torch.zeros(2)]
    moving_average(average, new, 1_000_000)
    torch.testing.assert_close(average[0], torch.full((2,), 0.002), atol=1e-6, rtol=0)
