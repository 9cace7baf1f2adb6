"""Each fault of recordings is named once, and good recordings have none."""

from pathlib import Path

import numpy as np

from tests.support.toy_dataset import RATE, WORDS, spoken, write_words
from training.data.checks import by_length, by_name, by_sound
from training.data.corpus import Utterance, WordSpan
from training.data.recordings import WordClip


def test_good_recordings_have_no_fault(tmp_path: Path) -> None:
    folder = write_words(tmp_path, train=60)
    assert list(by_name(folder, ["up", "cat"], has_background=True)) == []


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("up/2.wav", "up/note.wma", "_background_noise_/tap.amr"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    faults = list(by_name(tmp_path, ["up"], has_background=False))
    assert [fault.split(":")[0] for fault in faults] == [
        "up",
        "up",
        "names contain no speaker",
        "no other words",
        "no background to train with",
        "1 *.amr files are not read",
        "1 *.wma files are not read",
    ]
    assert faults[0] == "up: 1 recordings by unnamed speakers; record at least 50 by 10"
    assert "no recording falls to the test split" in faults[1]


def test_many_recordings_by_few_speakers_are_too_few(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    for i in range(90):
        (tmp_path / "up" / f"{i % 9}_nohash_{i}.wav").touch()
    assert next(by_name(tmp_path, ["up"], True)) == "up: 90 recordings by 9 speakers; record at least 50 by 10"


def test_words_that_begin_alike_are_named(tmp_path: Path) -> None:
    for word in ("go", "goal", "no", "bed", "bird", "o", "on"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "a.wav").touch()
    alike = [line.split(" (")[0] for line in by_name(tmp_path, ["go", "goal", "o"], True) if "spelling" in line]
    assert alike == ["go begins like goal", "o begins like on"]


def test_faults_in_the_sound_are_named_with_an_example() -> None:
    rng = np.random.default_rng(0)
    good, other = (spoken(WORDS["up"], 1.0, rng).astype(np.float32) for _ in range(2))
    samples = [good, (8 * good).clip(-1, 1), 0.02 * good, other, good.copy()]
    clips = [WordClip(Path(f"{i}.wav"), "up", "") for i in range(len(samples))]
    assert list(by_sound(clips, samples)) == [
        "1 recordings are clipped: lower the gain of the microphone (up/1.wav)",
        "1 recordings are nearly silent: speak closer to the microphone (up/2.wav)",
        "1 recordings are copies: keep one of each, or test clips will be known from training (up/4.wav of up/0.wav)",
    ]
    assert list(by_sound(clips[:1], samples[:1])) == []


def test_a_keyword_that_does_not_fit_is_named() -> None:
    short, long = (Utterance(np.zeros(RATE, np.int16), (WordSpan("up", 0.0, end, "keyword"),)) for end in (0.5, 1.0))
    assert list(by_length({"up": [short] * 4 + [long]}, ["up"])) == []
    (line,) = by_length({"up": [short] * 3 + [long]}, ["up"])
    assert line.startswith("up: 1 of 4 recordings last a whole second")
