"""Chained Ogg streams."""

import pytest

from service.spotting.audio import AudioError
from service.spotting.files import read_audio
from service.spotting.files.ogg import pages, parts
from tests.support.sound_files import encoded, sweep

VORBIS = encoded(sweep(), 16000, "OGG", "VORBIS")
OPUS = encoded(sweep(seed=1), 16000, "OGG", "OPUS")


def test_a_chain_is_split_where_a_stream_begins() -> None:
    assert [part.content for part in parts(VORBIS)] == [VORBIS]
    assert [part.content for part in parts(VORBIS + OPUS + VORBIS)] == [VORBIS, OPUS, VORBIS]


def test_streams_side_by_side_are_not_split() -> None:
    (_, first), (second, _), *_ = pages(VORBIS)
    assert first
    multiplexed = VORBIS[:second] * 2 + VORBIS[second:]
    assert len(list(parts(multiplexed))) == 1


def test_links_of_different_codecs_are_all_read() -> None:
    assert len(read_audio(VORBIS + OPUS)) == 32000


def test_damage_between_pages_is_passed_over() -> None:
    assert [at for at, is_first in pages(b"x" * 100 + VORBIS) if is_first] == [100]
    assert len(list(pages(VORBIS[:100]))) == len(list(pages(VORBIS[:90])))


def test_a_chain_with_a_broken_link_is_refused() -> None:
    with pytest.raises(AudioError):
        read_audio(VORBIS + OPUS[:60])
