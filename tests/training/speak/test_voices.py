"""Synthetic speakers: which split each belongs to, and how mixtures are named."""

import numpy as np
import pytest

from training.data.recordings import split_of
from training.speak.voices import SPLITS, draw_voice, voices_of_split

NAMES = [f"voice{i}" for i in range(54)]


def test_no_two_splits_share_a_voice() -> None:
    splits = [set(voices_of_split(NAMES, split)) for split in SPLITS]
    assert set.union(*splits) == set(NAMES)
    assert [len(split) for split in splits] == [44, 5, 5]


def test_a_few_voices_serve_every_split() -> None:
    assert [voices_of_split(["joe"], split) for split in SPLITS] == [["joe"]] * 3


@pytest.mark.parametrize("split", SPLITS)
def test_a_speaker_is_of_its_split_in_voices_and_in_name(split: str) -> None:
    rng = np.random.default_rng(0)
    speakers = [draw_voice(NAMES, True, split, rng) for _ in range(40)]
    assert {split_of(f"{voice.speaker}_nohash_3.flac") for voice in speakers} == {split}
    used = {name for voice in speakers for name, _ in voice.shares}
    assert used <= set(voices_of_split(NAMES, split))
    assert {len(voice.shares) for voice in speakers} == {1, 2, 3}
    assert all(abs(sum(share for _, share in voice.shares) - 1) < 0.02 for voice in speakers)


def test_an_engine_that_cannot_mix_speaks_with_single_voices() -> None:
    voice = draw_voice(NAMES, False, "train", np.random.default_rng(0))
    assert voice.shares == ((str(voice), 1.0),)
