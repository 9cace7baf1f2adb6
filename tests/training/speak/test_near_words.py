"""Words that sound nearly like a keyword, and those that sound just like it."""

import shutil

import pytest

from training.speak.near_words import near_words
from training.speak.pronunciation import distance, pronounce

needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")


def test_near_words_are_of_several_kinds_and_none_contains_the_keyword() -> None:
    near = near_words("stop", 200, ["stop", "go"])
    assert {"top", "step", "stock", "slop", "chop"} <= set(near)
    assert len(near) == len(set(near)) == 200
    assert not {"stop", "stops", "stopped", "nonstop", "go"} & set(near)


def test_what_sounds_the_same_is_not_near() -> None:
    assert pronounce("know") == pronounce("no")
    assert "know" not in near_words("no", 500, ["no"])


def test_a_phrase_has_its_parts_and_other_words_in_their_places() -> None:
    near = near_words("garden light", 60, ["garden light"])
    assert {"garden", "light", "garden right"} <= set(near)
    assert any(phrase.endswith(" light") and phrase != "garden light" for phrase in near)


def test_no_near_word_is_another_keyword() -> None:
    assert "light" not in near_words("garden light", 60, ["garden light", "light"])


@needs_espeak
def test_words_that_no_dictionary_has_are_read_by_espeak() -> None:
    assert pronounce("hey loomos") == ("HH", "EY", "L", "UW", "M", "OW", "Z")


@pytest.mark.parametrize(("one", "other", "cost"), [("bat", "bat", 0), ("bat", "pat", 0.4), ("bat", "bats", 1.0)])
def test_phonemes_that_sound_alike_are_nearer(one: str, other: str, cost: float) -> None:
    assert distance(pronounce(one), pronounce(other)) == pytest.approx(cost)
    assert distance(pronounce(one), pronounce(other), limit=0.3) == pytest.approx(min(cost, 0.3))
