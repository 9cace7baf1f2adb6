"""rc-train verifier: a model with a verifier beside it, which the service loads and evaluation measures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from service.spotting.metadata import DEFAULT_SPEED
from service.spotting.model import Model
from tests.support.tone_model import write_model
from tests.support.toy_dataset import write_speech
from training.commands.main import main
from training.verification import recipe
from training.verification.examples import EXAMPLE, VerifierExamples


def test_a_model_gets_a_verifier_and_a_new_one_replaces_it(
    run: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = run
    folder = shutil.copytree(out, tmp_path / "tiny")
    before = Model(folder).metadata
    noise = tmp_path / "noise"
    noise.mkdir()
    for i in range(30):  # some of every split
        shutil.copy(data / "_background_noise_" / "hiss.wav", noise / f"1-{i}-A.wav")
    command = ["verifier", "--model", str(folder), "--data-dir", str(data), "--noise", str(noise)]
    command += ["--speech", str(write_speech(tmp_path / "speech")), "--hours", "0.01"]
    monkeypatch.setattr(recipe, "mine_examples", lambda *_: few_examples())  # a run of one step detects nothing
    monkeypatch.setattr("training.verification.calibration.CALIBRATION_HOURS", 0.01)
    for _ in range(2):
        assert main(command) == 0
        verified = Model(folder)
        printed = capsys.readouterr().out
        assert "4 candidates that are keywords, 2 that are none" in printed
        assert json.loads(printed[printed.index("{") :]) == verified.metadata.verifier
        assert verified.verifier is not None
    assert verified.metadata.speeds["fast"] == before.speeds["fast"]
    thresholds = verified.metadata.verifier["thresholds"]
    assert set(thresholds) == {DEFAULT_SPEED, "accurate"}
    assert len(set(thresholds[DEFAULT_SPEED].values())) == 1


def few_examples() -> VerifierExamples:
    targets = np.array([0, 1, 2] * 2)
    audio = np.random.default_rng(0).integers(-3000, 3000, (len(targets), EXAMPLE)).astype(np.int16)
    return VerifierExamples(audio, targets, targets == 2)


def test_without_running_speech_there_is_nothing_to_calibrate_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path)
    assert main(["verifier", "--model", str(folder), "--data-dir", str(tmp_path)]) == 1
    assert "expected folders of running speech (--speech)" in capsys.readouterr().err
