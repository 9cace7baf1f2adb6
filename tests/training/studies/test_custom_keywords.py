"""The measuring of new words: who may be learnt from, what is kept, what is written."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import write_words
from training import recipe as speech
from training.cli import main
from training.data import recordings as sc
from training.learning.loop import train
from training.studies import custom_keywords as own_words


def test_a_folder_of_links_has_the_clips_asked_for_and_all_to_test_on(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "words", train=30, other=6)
    found = {}
    for size in (5, 18):
        data = own_words.linked(folder, ["up"], size, tmp_path / f"{size}")
        for split in ("train", "validation", "test"):
            clips = sc.find_clips(data, split)
            found[size, split] = {clip.path.resolve() for clip in clips}
            words = Counter(clip.word for clip in clips)
            assert sum(words[other] for other in ("down", "cat", "dog")) >= words["up"]
            assert words["up"] == {"train": size - size // 9 - (size < 9), "test": 6}.get(split, max(1, size // 9))
        assert (data / sc.BACKGROUND / "hiss.wav").is_file()
    assert found[5, "train"] < found[18, "train"]
    assert found[5, "test"] == found[18, "test"]


def test_the_command_writes_figures_and_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_words(tmp_path / "words"), tmp_path / "out"
    known = speech.load_data(folder, SETTINGS.labels, [], [])
    train(replace(SETTINGS, epochs=1, streams=False), known, tmp_path / "base", CPU)
    monkeypatch.setitem(speech.PRESETS, "conv", (SETTINGS.front_end, SETTINGS.network))
    monkeypatch.setattr(speech, "EPOCH_STEPS", 2)
    monkeypatch.setattr(speech, "FEW_EPOCHS", 1)
    command = ["own-words", "--data-dir", str(folder), "--words", "cat,dog", "--clips", "9", "--out", str(out)]
    command += ["--from", str(tmp_path / "base" / "last.pt")]
    assert main(command) == 0
    found = json.loads((out / "data.json").read_text())
    assert [(p["clips"], p["way"]) for p in found["points"]] == [(9, "with --from"), (9, "from nothing")]
    assert found["points"][0]["clips_tested"] == 24
    assert found["points"][0]["words_tested"] == 12
    assert speech.load_checkpoint(out / "cat-dog" / "9-base" / "last.pt")["settings"]["base"] == command[-1]
    assert f"| 9 | with --from | {found['points'][0]['accuracy']:.1%} |" in capsys.readouterr().out
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(own_words, "train_and_export", None)
    assert main(command) == 0
    assert json.loads((out / "data.json").read_text())["points"] == found["points"]
