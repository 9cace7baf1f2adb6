"""rc-train evaluate: what it prints and writes."""

import json
import shutil
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.toy_dataset import write_speech
from training.commands.main import main
from training.reports.model_report import ModelReport


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
