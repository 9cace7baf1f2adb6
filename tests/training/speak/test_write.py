"""A plan on the disk: the layout that training reads, the manifest, and what a second run does."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.tone_engine import ToneEngine
from training.data.corpus import read_speech
from training.data.recordings import read_split
from training.speak.plan import SPEECH, SpeakRequest, plan
from training.speak.write import MANIFEST, read_manifest, speak_plan

REQUEST = SpeakRequest(("marvin",), per_word=20, near=3, common=2, per_other=2, speech_minutes=1)


def speak(folder: Path, engine: ToneEngine, request: SpeakRequest = REQUEST) -> int:
    return speak_plan(plan(request, engine), engine, folder, 2, lambda done, total: None)


def test_training_reads_the_words_and_the_running_speech(tmp_path: Path) -> None:
    total = speak(tmp_path, ToneEngine())
    clips = {split: read_split(tmp_path, split) for split in ("train", "validation", "test")}
    assert [clips[split].words.count("marvin") for split in clips] == [16, 2, 2]
    assert not any(clip.refused for clip in clips.values())
    assert all(np.abs(samples).max() > 0.05 for samples in clips["train"].samples)
    speech = [list(read_speech(tmp_path / SPEECH, ["marvin"], split)) for split in clips]
    assert all(speech)
    assert all(utterance.text for utterance in speech[0])
    rows = read_manifest(tmp_path)
    assert len(rows) == total == len({row["file"] for row in rows})
    assert all((tmp_path / row["file"]).is_file() for row in rows)
    first = next(row for row in rows if row["word"] == "marvin")
    assert first["engine"] == "tones"
    assert first["text"].strip("?!.,") == "marvin"
    assert first["voice"].startswith("voice")
    assert 0.75 <= float(first["rate"]) <= 1.3


def test_a_second_run_speaks_nothing_and_a_missing_file_alone_is_spoken_again(tmp_path: Path) -> None:
    speak(tmp_path, ToneEngine())
    manifest = (tmp_path / MANIFEST).read_text()
    again = ToneEngine()
    assert speak(tmp_path, again) == 0
    assert again.spoken == []
    lost = sorted((tmp_path / "marvin").iterdir())[0]
    before = lost.read_bytes()
    lost.unlink()
    assert speak(tmp_path, again) == 2
    assert len(again.spoken) == 1
    assert lost.read_bytes() == before
    assert (tmp_path / MANIFEST).read_text() == manifest


def test_an_interrupted_run_is_continued_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        speak(tmp_path / "a", ToneEngine(fails_after=7))
    kept = read_manifest(tmp_path / "a")
    assert 0 < len(kept) <= 14
    rest = ToneEngine()
    speak(tmp_path / "a", rest)
    speak(tmp_path / "b", ToneEngine())
    contents = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.flac")}
        for name in "ab"
    ]
    assert contents[0] == contents[1]
    rows = [sorted(row.items()) for row in read_manifest(tmp_path / "a")]
    assert sorted(rows) == sorted(sorted(row.items()) for row in read_manifest(tmp_path / "b"))


def test_progress_counts_recordings_to_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    engine = ToneEngine()
    total = speak_plan(plan(REQUEST, engine), engine, tmp_path, 2, lambda *progress: seen.append(progress))
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
