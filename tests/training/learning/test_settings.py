"""The settings of a run in checkpoints, of this version and of older ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.tiny_run import SETTINGS
from training.learning.checkpoint import CheckpointError, read_checkpoint
from training.learning.settings import RunSettings, TrainingMethod


def test_settings_are_read_back() -> None:
    settings = replace(SETTINGS, method=TrainingMethod.MAX_POOL, initial_checkpoint="a.pt", min_batches=7)
    plain = settings.to_dict()
    assert plain["labels"] == ("up", "down", "_unknown_", "_silence_")
    assert plain["method"] == "max-pool"
    assert RunSettings.from_dict(plain) == settings


def test_names_of_older_checkpoints_are_read() -> None:
    plain = replace(SETTINGS, initial_checkpoint="a.pt", min_batches=7).to_dict()
    older = {{"initial_checkpoint": "base", "min_batches": "steps"}.get(name, name): plain[name] for name in plain}
    assert RunSettings.from_dict(older) == RunSettings.from_dict(plain)


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*/weights.pt")), ids=lambda path: path.parent.name)
def test_the_settings_of_shipped_weights_are_read(path: Path) -> None:
    settings = RunSettings.from_dict(read_checkpoint(path)["settings"])
    assert settings.network.labels == len(settings.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "end"}, "'end' is not a valid TrainingMethod"),
        ({"colour": 3}, "unexpected keyword argument 'colour'"),
        ({"labels": ("up", "down")}, "expected keywords, then _unknown_ and _silence_"),
    ],
)
def test_settings_of_another_kind_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        RunSettings.from_dict({**SETTINGS.to_dict(), **change})
