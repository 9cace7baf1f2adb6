"""From typed words to a model: what is laid out, and the whole command with a synthesiser of tones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.spotting.model import Model
from tests.support.tiny_run import CPU, SETTINGS
from tests.support.tone_engine import ToneEngine
from tests.support.toy_dataset import write_speech, write_words
from tests.training.data.test_captures import answer, capture
from training import recipe, typed_words
from training.commands import speech
from training.commands.main import main
from training.data.captures import write_review
from training.data.recordings import BACKGROUND, DatasetError, find_clips, read_recordings, split_of
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.evaluation import calibration
from training.learning.loop import train
from training.speak.plan import SpeakRequest, plan
from training.speak.write import speak_plan
from training.typed_words import TypedWords, lay_out

REQUEST = SpeakRequest(("hey marvin",), per_word=20, near=3, common=2, per_other=2, speech_minutes=1)


def speak(out: Path) -> None:
    engine = ToneEngine()
    speak_plan(plan(REQUEST, engine), engine, out / "words", 1, lambda done, total: None)


def words_of(data: Path) -> dict[str, int]:
    return {path.name: len(list(path.iterdir())) for path in sorted(data.iterdir())}


def test_without_any_recordings_there_are_words_near_words_and_noise_for_every_split(tmp_path: Path) -> None:
    speak(tmp_path)
    assert lay_out(TypedWords(REQUEST), tmp_path) == 0
    words = words_of(tmp_path / "data")
    assert words["hey marvin"] == 20
    assert words["hey"] == words["marvin"] == 2
    assert all(find_clips(tmp_path / "data", split) for split in ("train", "validation", "test"))
    assert all(read_recordings([tmp_path / "data" / BACKGROUND], split) for split in ("train", "validation", "test"))


def test_real_recordings_captures_and_other_words_are_mixed_in(tmp_path: Path) -> None:
    real, captures = write_words(tmp_path / "real", train=8, other=2), tmp_path / "captures"
    (real / "up").rename(real / "hey_marvin")
    negatives = write_words(tmp_path / "negatives", train=70, other=20)
    (negatives / "down").rename(negatives / "hey marvin")
    captures.mkdir()
    for name in "ab":
        capture(captures, name, "hey marvin")
    write_review(captures)
    answer(captures, {"a.wav": "yes", "b.wav": "no"})
    speak(tmp_path)
    for _ in range(2):  # a second call finds everything there
        count = lay_out(TypedWords(REQUEST, negatives, real, captures), tmp_path)
    words = words_of(tmp_path / "data")
    assert count == 13  # 12 recordings and a capture
    assert words["hey marvin"] == 20 + 13
    assert words["not hey marvin"] == 1
    assert 60 <= words["cat"] <= 72  # those of --recordings, and some of the many of --data-dir
    splits = [split_of(path.name) for path in (tmp_path / "data" / "up").iterdir()]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [30, 15, 15]
    assert words[BACKGROUND] > 1


def test_recordings_without_the_word_are_refused(tmp_path: Path) -> None:
    real = write_words(tmp_path / "real", train=2, other=1)
    speak(tmp_path)
    with pytest.raises(DatasetError, match=r"--recordings: expected recordings in .*/real/hey marvin, found none"):
        lay_out(TypedWords(REQUEST, recordings=real), tmp_path)


def test_one_command_goes_from_a_typed_word_to_a_model_with_a_card(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_training_data(DataSources(run[0]), SETTINGS.labels)
    train(replace(SETTINGS, epochs=1, streams=False), data, tmp_path / "base", CPU)
    engine = ToneEngine()
    monkeypatch.setattr(speech, "engine_of", lambda args: engine)
    monkeypatch.setattr(speech, "SpeakRequest", lambda words, spellings, seed: replace(REQUEST, words=words, seed=seed))
    for module, name, value in (
        (recipe, "MIN_BATCHES", 2), (recipe, "STREAM_BATCHES", 2), (typed_words, "TEST_HOURS", 0.01),
        (calibration, "calibrate", lambda model, corpus: {}),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    out = tmp_path / "models" / "marvin"
    command = ["speech", "--say", "Hey Marvin", "--epochs", "1", "--batch", "2", "--out", str(out)]
    command += ["--from", str(tmp_path / "base" / "last.pt"), "--speech", str(write_speech(tmp_path / "speech"))]
    assert main(command) == 0
    model = Model(out)
    assert model.metadata.keywords == ("hey marvin",)
    assert model.metadata.data.startswith("synthetic voices (tones), 0 real recordings of the keywords: ")
    card = (out / "README.md").read_text()
    assert "- Trained on synthetic voices." in card
    assert json.loads((out / "report.json").read_text())["data"]["clips"] >= 2
    printed = capsys.readouterr().out
    assert "1 of 4: hey marvin by synthetic voices" in printed
    assert f"rc-serve --models {out.parent} --model marvin" in printed
    spoken, weights = len(engine.spoken), (out / "last.pt").read_bytes()
    assert main(command) == 0
    assert len(engine.spoken) == spoken
    assert (out / "last.pt").read_bytes() == weights
