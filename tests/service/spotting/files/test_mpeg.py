"""MP3 to its end: with and without a length, tagged, joined, damaged, truncated."""

import struct
import time

import numpy as np
import pytest

from service.spotting.audio import AudioError
from service.spotting.files import AudioFile, read_audio
from service.spotting.files.mpeg import after_tags, frames, parse_header, tag_position
from tests.support.sound_files import Audio, encoded, ffmpeg, needs_ffmpeg, sweep, tone

TAG = b"ID3\4\0\0\0\0\1\0" + bytes(128)


def without_info(mp3: bytes) -> bytes:
    """The frames alone, as an encoder writes them to a pipe."""
    (_, first), *_ = frames(mp3, 0)
    assert tag_position(mp3[: first.length], first) is not None
    return mp3[first.length :]


def mp3_of(rate: int, channels: int = 1, seconds: float = 1.0, seed: int = 0) -> bytes:
    return encoded(sweep(rate, seconds, channels, seed), rate, "MP3")


def same_audio(got: Audio, expected: Audio, shift: int, tolerance: float = 1e-3) -> None:
    """That `got` has all of `expected`, `shift` samples later."""
    assert len(got) >= len(expected) + shift
    np.testing.assert_allclose(got[shift : shift + len(expected)], expected, atol=tolerance)


@pytest.mark.parametrize(("rate", "frame"), [(48000, 1152), (44100, 1152), (32000, 1152), (24000, 576), (16000, 576)])
@pytest.mark.parametrize("channels", [1, 2])
def test_without_a_length_all_frames_are_read_from_the_first_sample_on(rate: int, frame: int, channels: int) -> None:
    mp3 = mp3_of(rate, channels)
    count = len(list(frames(mp3, 0))) - 1
    got = np.concatenate(list(AudioFile(without_info(mp3)).blocks()))
    assert got.shape == (count * frame, channels)
    same_audio(got[:, 0], np.concatenate(list(AudioFile(mp3).blocks()))[:, 0], 576 + 529)


def variable_rate() -> bytes:
    """MP3 whose first frames are large and whose later ones are small, without a length."""
    loud, faint = sweep(seconds=1), np.zeros(64000, np.float32)
    return without_info(encoded(np.concatenate([loud, faint]), 16000, "MP3"))


def test_at_a_variable_rate_the_end_is_read_too() -> None:
    mp3 = variable_rate()
    sizes = [header.length for _, header in frames(mp3, 0)]
    assert max(sizes) > 1.5 * min(sizes)
    assert len(read_audio(mp3)) == 576 * len(sizes)
    assert len(read_audio(mp3)) >= 80000


@needs_ffmpeg
@pytest.mark.parametrize("options", [("-b:a", "64k"), ("-q:a", "4"), ("-q:a", "0")])
def test_what_ffmpeg_writes_to_a_pipe_is_read_whole(options: tuple[str, ...]) -> None:
    mp3 = ffmpeg(sweep(seconds=3), 16000, *options, "-f", "mp3")
    same_audio(read_audio(mp3), sweep(seconds=3), 576 + 529, tolerance=0.1)


@pytest.mark.parametrize("tags", [1, 2, 3])
@pytest.mark.parametrize("kind", ["MP3", "FLAC"])
def test_tags_before_the_audio_are_passed_over(tags: int, kind: str) -> None:
    content = encoded(sweep(), 16000, kind)
    np.testing.assert_array_equal(read_audio(TAG * tags + content), read_audio(content))
    np.testing.assert_array_equal(read_audio(TAG * tags + bytes(50) + content), read_audio(content))


def test_a_tag_is_passed_over_only_before_what_has_tags() -> None:
    with pytest.raises(AudioError, match="Format not recognised"):
        read_audio(TAG + encoded(tone(16000)))


def test_tags_have_a_length_and_perhaps_a_footer() -> None:
    assert after_tags(b"abc") == 0
    assert after_tags(TAG + TAG + b"abc") == 2 * len(TAG)
    assert after_tags(b"ID3\4\0\x10\0\0\0\5" + bytes(15) + b"abc") == 25
    assert after_tags(b"ID3\4\0\0\x7f\x7f\x7f\x7f") >= 10


@pytest.mark.parametrize("between", [b"", TAG, b"TAG" + bytes(125), b"APETAGEX" + bytes(24)])
def test_joined_mp3s_are_read_like_each_alone(between: bytes) -> None:
    first, second = mp3_of(16000), mp3_of(16000, seed=1)
    expected = np.concatenate([read_audio(first), read_audio(second)])
    np.testing.assert_array_equal(read_audio(first + between + second + between), expected)


def test_joined_mp3s_without_a_length_lose_nothing() -> None:
    first, second = mp3_of(16000), mp3_of(16000, seed=1)
    bare = without_info(second)
    assert len(read_audio(first + bare)) == len(read_audio(first)) + len(read_audio(bare))
    assert len(read_audio(bare + bare)) == 2 * len(read_audio(bare))
    assert len(read_audio(bare + first)) == len(read_audio(bare)) + len(read_audio(first))


def test_a_truncated_mp3_that_has_a_length_is_refused() -> None:
    mp3 = mp3_of(16000)
    with pytest.raises(AudioError, match=r"expected \d+ MPEG frames as its header says, got \d+: truncated"):
        read_audio(mp3[: len(mp3) // 2])
    with pytest.raises(AudioError, match="truncated"):
        read_audio(mp3[: len(mp3) // 2] + mp3)
    bare = without_info(mp3)
    assert len(read_audio(bare[: len(bare) // 2])) > 7000  # nobody can know


def test_a_count_that_takes_in_the_information_frame_is_not_an_error() -> None:
    mp3 = mp3_of(16000)
    at = mp3.index(b"Info" if b"Info" in mp3[:100] else b"Xing") + 8
    count = int.from_bytes(mp3[at : at + 4])
    content = mp3[:at] + (count + 1).to_bytes(4) + mp3[at + 4 :]
    np.testing.assert_array_equal(read_audio(content), read_audio(mp3))


def test_an_information_frame_without_a_count_is_passed_over() -> None:
    mp3 = mp3_of(16000)
    at = mp3.index(b"Info" if b"Info" in mp3[:100] else b"Xing") + 7
    assert len(read_audio(mp3[:at] + b"\0" + mp3[at + 1 :])) == len(read_audio(without_info(mp3)))


def test_damage_costs_the_frames_that_it_hit() -> None:
    mp3 = without_info(mp3_of(16000, seconds=3))
    places = [at for at, _ in frames(mp3, 0)]
    damaged = mp3[: places[20]] + b"damage" * 50 + mp3[places[22] :]
    assert len(list(frames(damaged, 0))) == len(places) - 2
    assert len(read_audio(damaged)) == 576 * (len(places) - 2)


def test_layer_2_is_read() -> None:
    header = parse_header(b"\xff\xfd\x84\xc0")  # 48 kHz, mono, 128 kbit/s
    assert header is not None
    assert (header.layer, header.samples, header.length) == (2, 1152, 384)
    assert header.kind[1]


@needs_ffmpeg
def test_layer_2_of_ffmpeg_is_read_whole() -> None:
    assert len(read_audio(ffmpeg(sweep(seconds=2), 16000, "-f", "mp2"))) >= 32000


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfb\x00\xc0",
        b"\xff\xfb\xf0\xc0",
        b"\xff\xfb\x9c\xc0",
        b"\xff\xeb\x90\xc0",
        b"\xff\xf9\x90\xc0",
        b"\xfe\xfb\x90\xc0",
        b"\xff\xfb",
    ],
)
def test_what_cannot_begin_a_frame(head: bytes) -> None:
    assert parse_header(head) is None


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfb\x90\xc0" + b"\xff" * 3_000_000,
        b"\xff\xfb\x90\xc0" * 500_000,
        b"ID3\4\0\0\0\0\0\0" * 3_000_000 + b"\xff\xfb",
    ],
    ids=["sync bytes", "headers", "tags"],
)
def test_a_hostile_file_costs_little_time(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(AudioError):
        read_audio(content)
    assert time.process_time() - began < 3


def test_the_frame_of_another_encoder_with_a_length_is_passed_over() -> None:
    mp3 = without_info(mp3_of(44100))
    head = mp3[:2] + b"\x90" + mp3[3:4]
    header = parse_header(head)
    assert header is not None
    vbri = (head + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 1000, 10)).ljust(header.length, b"\0")
    np.testing.assert_array_equal(read_audio(vbri + mp3), read_audio(mp3))
