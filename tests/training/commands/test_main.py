"""rc-train: how its errors are reported."""

from pathlib import Path

import pytest

from training.commands import export
from training.commands.main import main
from training.data.recordings import DatasetError

NOWHERE = "found none of ['nowhere'] for train, none of ['nowhere'] for validation; a tenth of the speakers"


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

    monkeypatch.setattr(export, "export_checkpoint", fail)
    with pytest.raises(ValueError, match="broadcast"):
        main(["export", "--data-dir", "x", "--checkpoint", "x.pt", "--out", "x"])


def test_an_error_in_the_data_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise DatasetError("x: expected recordings")

    monkeypatch.setattr(export, "export_checkpoint", fail)
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
