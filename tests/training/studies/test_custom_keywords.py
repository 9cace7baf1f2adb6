"""The study of custom keywords: which clips are trained on, what is kept, what is written."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import write_words
from training import recipe
from training.commands.main import main
from training.data.recordings import BACKGROUND, find_clips
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.learning.checkpoint import read_checkpoint
from training.learning.loop import train
from training.presets import PRESETS
from training.studies import custom_keywords
from training.studies.custom_keywords import KeywordStudy, link_clips


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
