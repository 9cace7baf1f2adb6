"""rc-train speech, end to end on a tiny data set."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import write_custom_words, write_speech
from training import recipe
from training.commands.main import main
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.evaluation import calibration
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import train
from training.learning.settings import RunSettings


def test_speech_exports_a_model_that_describes_itself(run: tuple[Path, Path]) -> None:
    model = Model(run[1])
    assert model.metadata.name == "tiny"
    assert model.metadata.labels == ("up", "down", "_unknown_", "_silence_")
    assert model.metadata.keywords == ("up", "down")
    assert set(model.metadata.speeds) == {"fast", "balanced", "accurate"}
    assert model.metadata.data.startswith("words: 120 train clips by 30 speakers, 24 validation clips by 6 speakers")


def test_streams_train_a_model_and_resume(run: tuple[Path, Path], tmp_path: Path) -> None:
    speech, noise, out = write_speech(tmp_path / "speech"), tmp_path / "noise", tmp_path / "streams"
    noise.mkdir()
    for i in range(30):  # some of every split
        shutil.copy(run[0] / "_background_noise_" / "hiss.wav", noise / f"1-{i}-A.wav")
    sources = ["--data-dir", str(run[0]), "--noise", str(noise), "--speech", str(speech)]
    command = ["speech", "--method", "streams", *sources, "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "STREAM_BATCHES", 2)
        patch.setattr(recipe, "MIN_BATCHES", 1)
        patch.setattr(calibration, "calibrate", lambda model, corpus: {})
        assert main([*command, "--keywords", "up,down", "--epochs", "1", "--batch", "3"]) == 0
        settings = RunSettings.from_dict(read_checkpoint(out / "last.pt")["settings"])
        assert main([*command, "--keywords", "up,down", "--epochs", "1", "--batch", "3", "--resume"]) == 0
    assert (settings.method, settings.min_batches, settings.batch, settings.front_end.pcen) == ("streams", 2, 3, True)
    assert Model(out).metadata.method == "streams"


def test_custom_keywords_begin_with_the_weights_of_another_model(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recordings of any kind and other keywords; a network that is not a preset."""
    small = load_training_data(DataSources(run[0]), SETTINGS.labels)
    train(replace(SETTINGS, epochs=1, streams=False), small, tmp_path / "base", CPU)
    monkeypatch.setattr(recipe, "MIN_BATCHES", 3)
    data, out = write_custom_words(tmp_path / "mine"), tmp_path / "model"
    command = ["--data-dir", str(data), "--keywords", "cat", "--from", str(tmp_path / "base" / "best.pt")]
    assert main(["speech", *command, "--epochs", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "warning: cat: 40 recordings by unnamed speakers; record at least 50 by 10" in printed
    assert "warning: fewer than 20 validation clips of a keyword or 100 others, so fixed thresholds" in printed
    settings = read_checkpoint(out / "last.pt")["settings"]
    assert settings["network"] == asdict(replace(SETTINGS.network, labels=3))
    assert (settings["epochs"], settings["min_batches"]) == (1, 3)
    metadata = Model(out).metadata
    assert metadata.speeds["balanced"]["continuous"] == {"cat": 0.9, "_unknown_": 1.0, "_silence_": 1.0}
    assert "train clips by unnamed speakers" in metadata.data
    assert main(["evaluate", "--model", str(out), "--data-dir", str(data), "--split", "test", "--card"]) == 0
    assert "clips, unnamed speakers." in (out / "README.md").read_text()


def test_without_epochs_a_run_has_as_many_as_suit_its_data(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunSettings] = []
    monkeypatch.setattr(recipe, "train", lambda settings, *_: started.append(settings))
    monkeypatch.setattr(recipe, "export_run", lambda *_: None)
    base = str(run[1] / "best.pt")
    for batches, options in ((50, []), (1, []), (1, ["--from", base]), (50, ["--epochs", "7"])):
        monkeypatch.setattr(recipe, "MIN_BATCHES", batches)
        assert main(["speech", "--data-dir", str(run[0]), "--keywords", "up", *options, "--out", str(tmp_path)]) == 0
    assert [settings.epochs for settings in started] == [recipe.FEW_EPOCHS, recipe.EPOCHS, recipe.FEW_EPOCHS, 7]
    assert [settings.min_batches for settings in started] == [50, 1, 1, 50]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "0.5"], "--threshold-low: expected at most --threshold, 0.5, got 0.6"),
        (["--device", "toaster"], "--device: expected auto, cpu or a device of this machine, got toaster"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(
    options: list[str],
    message: str,
    run: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["speech", "--data-dir", str(run[0]), "--keywords", "up", "--out", str(tmp_path), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rc-train: {message}")
