"""rc-train from the command line, end to end on a tiny data set."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import write_custom_words, write_speech, write_words
from training import cli, recipe
from training.cli import main
from training.data.recordings import DatasetError
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.evaluation import calibration
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import train
from training.learning.settings import RunSettings
from training.reports.model_report import ModelReport
from training.studies.rc_vs_eos import RcVsEos

NOWHERE = "found none of ['nowhere'] for train, none of ['nowhere'] for validation; a tenth of the speakers"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of the data and folder of a run of one step."""
    data = write_words(tmp_path_factory.mktemp("data") / "words")
    out = tmp_path_factory.mktemp("runs") / "tiny"
    command = ["speech", "--data-dir", str(data), "--keywords", "up,down", "--epochs", "1", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "MIN_BATCHES", 1)
        assert main(command) == 0
    return data, out


def test_speech_exports_a_model_that_describes_itself(run: tuple[Path, Path]) -> None:
    model = Model(run[1])
    assert model.metadata.name == "tiny"
    assert model.metadata.labels == ("up", "down", "_unknown_", "_silence_")
    assert model.metadata.keywords == ("up", "down")
    assert set(model.metadata.speeds) == {"fast", "balanced", "accurate"}
    assert model.metadata.data.startswith("words: 120 train clips by 30 speakers, 24 validation clips by 6 speakers")


def test_evaluate_writes_card_report_and_plot(run: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, out = run
    command = ["evaluate", "--model", str(out), "--data-dir", str(data), "--split", "test", "--json", "--card"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    report = json.loads((out / "report.json").read_text())
    assert printed == report
    assert report["data"] | {"refused": []} == {
        "name": "words", "split": "test", "clips": 24, "speakers": 6, "refused": [],
    }  # fmt: skip
    assert report["measured"]["command"] == " ".join(["rc-train", *command])
    card = (out / "README.md").read_text()
    assert f"| balanced | {report['speeds']['balanced']['threshold']} |" in card
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert Model(out).report == report


def test_streams_are_measured_and_on_the_card(
    run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = run
    model = shutil.copytree(out, tmp_path / "tiny")
    noise = tmp_path / "noise"
    noise.mkdir()
    for i in range(9):  # some of every split
        shutil.copy(data / "_background_noise_" / "hiss.wav", noise / f"1-{i}-A.wav")
    speech = write_speech(tmp_path / "speech")
    command = ["evaluate", "--model", str(model), "--data-dir", str(data), "--split", "test", "--card", "--streams"]
    assert main([*command, "--noise", str(noise), "--speech", str(speech), "--hours", "0.001"]) == 0
    printed = capsys.readouterr().out
    card = (model / "README.md").read_text()
    streams = ModelReport.read(model / "report.json").streams
    assert streams is not None
    assert streams.data.keyword_clips == 12
    assert streams.endpoints["laid in noise, 30 dB"]["start"].words == 5
    keywords = streams.speeds["balanced"].streams["mixed"].keywords
    assert f"composed from the test split: {keywords} keywords (of 12 clips)" in card
    assert "## Continuous audio" in printed
    assert "not in continuous speech" not in card
    for plot in ("det.png", "decision_time.png"):
        assert f"({plot})" in card
        assert (model / plot).read_bytes().startswith(b"\x89PNG")


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


def test_export_again_gives_the_same_model(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    again = tmp_path / "tiny"
    assert main(["export", "--data-dir", str(data), "--checkpoint", str(out / "best.pt"), "--out", str(again)]) == 0
    assert Model(again).metadata == Model(out).metadata


def test_the_rule_of_silence_is_a_setting_of_export_and_can_be_changed(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    before, again = Model(out), tmp_path / "tiny"
    assert before.metadata.silence == {"level": 0.001, "after_s": 1.0}
    export = ["export", "--data-dir", str(data), "--checkpoint", str(out / "best.pt"), "--out", str(again)]
    assert main([*export, "--silence-dbfs", "-40", "--silence-after", "0.5"]) == 0
    assert Model(again).metadata.silence == {"level": 0.01, "after_s": 0.5}
    assert main(["silence", "--model", str(again), "--silence-after", "0"]) == 0
    assert Model(again).metadata == replace(before.metadata, silence={})
    assert main(["silence", "--model", str(again)]) == 0
    assert Model(again).metadata == before.metadata


def test_compare_writes_both_curves(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    assert main(["compare", "--rc", str(out), "--eos", str(out), "--data-dir", str(data), "--out", str(tmp_path)]) == 0
    result = RcVsEos.read(tmp_path / "data.json")
    assert result.curves["rc"] == result.curves["eos"]
    assert "| 300 ms |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speech", "--data-dir", "DATA", "--keywords", "up,nowhere", "--out", "x"], NOWHERE),
        (["speech", "--data-dir", "DATA", "--quick", "--out", "x"], "--quick: expected --study beside it"),
        (["speech", "--data-dir", "DATA", "--seeds", "2", "--out", "x"], "--seeds: expected --study beside it"),
        (["evaluate", "--model", "nowhere", "--data-dir", "DATA"], "expected a model.onnx, got no such file"),
        (["export", "--checkpoint", "nowhere.pt", "--data-dir", "DATA", "--out", "x"], "expected the checkpoint"),
    ],
)
def test_errors_say_what_was_expected(
    arguments: list[str], message: str, run: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run[0]) if word == "DATA" else word for word in arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(cli, "export_checkpoint", fail)
    with pytest.raises(ValueError, match="broadcast"):
        main(["export", "--data-dir", "x", "--checkpoint", "x.pt", "--out", "x"])


def test_an_error_in_the_data_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise DatasetError("x: expected recordings")

    monkeypatch.setattr(cli, "export_checkpoint", fail)
    assert main(["export", "--data-dir", "x", "--checkpoint", "x.pt", "--out", "x"]) == 1
    assert capsys.readouterr().err == "rc-train: x: expected recordings\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speech", "--keywords", "up,,down"], "--keywords: expected different words with commas between them"),
        (["speech", "--keywords", "up,up"], "--keywords: expected different words with commas between them"),
        (["speech", "--keywords", "up,_unknown_"], "--keywords: expected different words with commas between them"),
        (["speech", "--threshold", "1.5"], "--threshold: expected a number between 0 and 1, got 1.5"),
        (["speech", "--threshold-low", "nan"], "--threshold-low: expected a number between 0 and 1, got nan"),
        (["speech", "--seeds", "0"], "--seeds: expected a whole number from 1 up, got 0"),
        (["evaluate", "--hours", "inf"], "--hours: expected a number above 0, got inf"),
        (["own-words", "--clips", "5", "-3"], "--clips: expected a whole number from 1 up, got -3"),
        (["cost", "--batches", "many"], "--batches: invalid count value: 'many'"),
    ],
)
def test_wrong_values_of_options_are_refused_before_anything_is_read(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


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
