"""Captured clips: the list to answer, and what becomes of the answers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data.captures import REVIEW, read_review, write_captures, write_review
from training.data.recordings import DatasetError, all_clips, read_clips, split_of

RATE = 16_000


def capture(folder: Path, name: str, label: str, decided_s: float = 1.5) -> None:
    """Two seconds with a tone of 0.4 s that ends at the decision."""
    rng = np.random.default_rng(len(name))
    samples = 0.002 * rng.standard_normal(2 * RATE)
    end = int(decided_s * RATE)
    samples[end - 6400 : end] += 0.3 * np.sin(2 * np.pi * 700 * np.arange(6400) / RATE)
    soundfile.write(folder / f"{name}.wav", samples, RATE)
    facts = {
        "time": "2026-11-28T06:00:00", "session": f"session{name}", "frame": 40, "label": label, "kind": "detection",
        "score": 0.91234, "threshold": 0.9, "decided_s": decided_s,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(facts))


def review_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / REVIEW).read_text().splitlines()))


def answer(folder: Path, answers: dict[str, str]) -> None:
    rows = review_rows(folder)
    with (folder / REVIEW).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"answer": answers.get(row["file"], row["answer"])} for row in rows)


def test_the_list_grows_and_keeps_its_answers(tmp_path: Path) -> None:
    capture(tmp_path, "a", "lumos")
    assert write_review(tmp_path) == {"": 1}
    answer(tmp_path, {"a.wav": "Yes"})
    capture(tmp_path, "b", "lumos")
    assert write_review(tmp_path) == {"yes": 1, "": 1}
    rows = review_rows(tmp_path)
    assert [(row["file"], row["label"], row["score"], row["answer"]) for row in rows] == [
        ("a.wav", "lumos", "0.91", "Yes"), ("b.wav", "lumos", "0.91", ""),
    ]  # fmt: skip


def test_right_ones_are_recordings_of_the_keyword_and_wrong_ones_of_another_word(tmp_path: Path) -> None:
    for name, label in (("a", "lumos"), ("b", "lumos"), ("c", "lumos"), ("d", "other")):
        capture(tmp_path, name, label, decided_s=1.2)
    write_review(tmp_path)
    answer(tmp_path, {"a.wav": "yes", "b.wav": "no", "d.wav": "yes"})
    clips = read_review(tmp_path, ["lumos"])
    assert [(clip.path.name, clip.is_right) for clip in clips] == [("a.wav", True), ("b.wav", False)]
    out = tmp_path / "out"
    write_captures(clips, out)
    loaded = read_clips(list(all_clips(out)))
    assert (loaded.words, loaded.refused) == (["lumos", "not lumos"], [])
    assert [clip.speaker for clip in loaded.clips] == ["sessiona", "sessionb"]
    assert {split_of(clip.path.name) for clip in loaded.clips} <= {"train", "validation", "test"}
    for samples in loaded.samples:
        assert len(samples) == RATE
        loud = np.flatnonzero(np.abs(samples) > 0.1)
        assert 0.38 < (loud[-1] - loud[0]) / RATE < 0.42  # the whole word


def test_unclear_answers_and_missing_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected clips of rc-serve --capture-dir, found none"):
        write_review(tmp_path)
    with pytest.raises(DatasetError, match=r"review\.csv: expected the answers .*run rc-train review"):
        read_review(tmp_path, ["lumos"])
    capture(tmp_path, "a", "lumos")
    write_review(tmp_path)
    answer(tmp_path, {"a.wav": "maybe"})
    with pytest.raises(DatasetError, match=r"a\.wav: expected yes, no or nothing, got 'maybe'"):
        read_review(tmp_path, ["lumos"])
    answer(tmp_path, {"a.wav": "yes"})
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"a\.json: expected the JSON of a captured clip, got none"):
        read_review(tmp_path, ["lumos"])
    (tmp_path / REVIEW).write_text("file,verdict\na.wav,yes\n")
    with pytest.raises(DatasetError, match="expected the columns file, label, kind, score, time, answer"):
        read_review(tmp_path, ["lumos"])
