"""Labels: keywords first, then all other words, then silence; every word has one."""

import pytest

from training.data.labels import Labels

LABELS = Labels(("up", "down"))


def test_the_other_labels_come_last() -> None:
    assert LABELS.all == ("up", "down", "_unknown_", "_silence_")
    assert (LABELS.unknown, LABELS.silence, len(LABELS)) == (2, 3, 4)


def test_words_that_are_not_keywords_are_unknown() -> None:
    words = ("up", "down", "cat", "_unknown_")
    assert [LABELS.index(word) for word in words] == [0, 1, 2, 2]
    assert [LABELS.name(word) for word in words] == ["up", "down", "_unknown_", "_unknown_"]


def test_labels_of_a_checkpoint_are_read_back() -> None:
    assert Labels.from_all(LABELS.all) == LABELS


@pytest.mark.parametrize("names", [(), ("up",), ("up", "_silence_", "_unknown_")])
def test_labels_in_another_order_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected keywords, then _unknown_ and _silence_, got"):
        Labels.from_all(names)
