"""The study of custom keywords: which clips are trained on, what is kept, what is written."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_run import CPU, SETTINGS
from tests.support.tone_engine import ToneEngine
from tests.support.toy_dataset import write_words
from training import recipe
from training.commands.main import main
from training.data.plain_noise import write_plain_noise
from training.data.recordings import BACKGROUND, find_clips, split_of
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.evaluation import calibration
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import train
from training.presets import PRESETS
from training.speak.plan import SpeakRequest, plan
from training.speak.write import speak_plan
from training.studies import custom_keywords
from training.studies.clip_links import SCARCE, link_clips
from training.studies.custom_keywords import KeywordStudy, speaker_interval


def test_a_folder_of_links_has_the_clips_asked_for_and_all_to_test_on(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", train=30, other=6)
    links = {}
    for size in (5, 18):
        data = link_clips(folder, ["up"], size, tmp_path / f"{size}")
        for split in ("train", "validation", "test"):
            clips = find_clips(data, split)
            links[size, split] = {clip.path.resolve() for clip in clips}
            words = Counter(clip.word for clip in clips)
            assert sum(words[other] for other in ("down", "cat", "dog")) >= words["up"]
            assert words["up"] == {"train": size - size // 9 - (size < 9), "test": 6}.get(split, max(1, size // 9))
        assert (data / BACKGROUND / "hiss.wav").is_file()
    assert links[5, "train"] < links[18, "train"]
    assert links[5, "test"] == links[18, "test"]


def test_the_command_writes_figures_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_words(tmp_path / "words"), tmp_path / "out"
    data = load_training_data(DataSources(folder), SETTINGS.labels)
    train(replace(SETTINGS, epochs=1, streams=False), data, tmp_path / "base", CPU)
    monkeypatch.setitem(PRESETS, "conv", (SETTINGS.front_end, SETTINGS.network))
    monkeypatch.setattr(recipe, "MIN_BATCHES", 2)
    monkeypatch.setattr(recipe, "FEW_EPOCHS", 1)
    command = ["own-words", "--data-dir", str(folder), "--words", "cat,dog", "--clips", "9", "--out", str(out)]
    command += ["--from", str(tmp_path / "base" / "last.pt")]
    assert main(command) == 0
    study = KeywordStudy.read(out / "data.json")
    assert [(point.clips, point.weights) for point in study.points] == [(9, "with --from"), (9, "from scratch")]
    first = study.points[0]
    assert (first.clips_tested, first.words_tested) == (24, 12)
    saved = read_checkpoint(out / "runs" / "cat-dog" / "9-weights" / "last.pt")
    assert saved["settings"]["initial_checkpoint"] == command[-1]
    assert f"| 9 | with --from | {first.accuracy:.1%} |" in capsys.readouterr().out
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(custom_keywords, "train_and_export", None)
    assert main(command) == 0
    assert KeywordStudy.read(out / "data.json").points == study.points


def test_words_with_few_clips_are_tested_on_all_of_them(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", train=30, other=6)
    for split in ("train", "validation"):
        for clip in find_clips(folder, split):
            if clip.word == "cat" and int(clip.path.name[:8], 16) % 3:
                clip.path.unlink()
    left = len(list((folder / "cat").iterdir()))
    assert left < SCARCE
    for size in (0, 9):
        data = link_clips(folder, ["cat"], size, tmp_path / f"{size}", others=4)
        words = {split: Counter(clip.word for clip in find_clips(data, split)) for split in ("train", "test")}
        assert (words["train"]["cat"], words["test"]["cat"]) == (0, left)
        assert words["train"]["up"] == 4


def test_synthetic_voices_train_models_beside_some_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, synthetic = write_words(tmp_path / "words", train=40), tmp_path / "synthetic"
    request = SpeakRequest(("cat",), per_word=20, near=2, common=1, per_other=2, speech_minutes=1)
    speak_plan(plan(request, ToneEngine()), ToneEngine(), synthetic, 1, lambda done, total: None)
    data = load_training_data(DataSources(folder), SETTINGS.labels)
    train(replace(SETTINGS, epochs=1, streams=False), data, tmp_path / "base", CPU)
    for name in ("MIN_BATCHES", "STREAM_BATCHES", "FEW_EPOCHS"):
        monkeypatch.setattr(recipe, name, 1)
    monkeypatch.setattr(calibration, "calibrate", lambda model, corpus: {})
    for split in ("validation", "test"):
        write_plain_noise(folder / BACKGROUND, split)
    points = custom_keywords.study_voices(
        folder, synthetic, ["cat"], [0, 9], str(tmp_path / "base" / "last.pt"), tmp_path / "out"
    )
    assert [(point.clips, point.weights, point.words_tested) for point in points] == [
        (0, "with --from and synthetic voices", 6), (9, "with --from and synthetic voices", 6),
    ]  # fmt: skip
    low, high = points[0].recall_interval or (1.0, 0.0)
    assert low <= points[0].recall <= high
    assert points[0].recall_by_word == {"cat": points[0].recall}
    used = {path.name for path in (tmp_path / "out" / "runs" / "cat" / "0-clips-voices" / "cat").iterdir()}
    spoken = {path.name for path in (synthetic / "cat").iterdir()}
    assert used & spoken == {name for name in spoken if split_of(name) != "test"}
    assert len(used - spoken) == 6  # the test clips of people


def test_intervals_draw_whole_speakers() -> None:
    assert speaker_interval([[True, True], [True]]) == (1.0, 1.0)
    low, high = speaker_interval([[True] * 10, [False] * 10])
    assert (low, high) == (0.0, 1.0)
