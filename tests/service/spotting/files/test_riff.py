"""WAV and AIFF sizes: true, missing as in a pipe, and wrong."""

import struct

import numpy as np
import pytest

from service.spotting.audio import AudioError
from service.spotting.files import AudioFile, read_audio
from tests.support.sound_files import encoded, patched, sweep, tone

WAV = encoded(tone(16000))
SAMPLES = read_audio(WAV)
PLACEHOLDERS = [
    0,
    0x7FFFFFFF,
    0x7FFF_F000,
    0x7FFF_F024,
    0x8000_0000,
    0x8000_0024,
    0xFFFF_FFFF,
    0xFFFF_FFFF - 36,
    0xFFFF_F000,
]


def with_size(wav: bytes, size: int, riff_size: int | None = None) -> bytes:
    at = wav.index(b"data") + 4
    content = patched(wav, (at, struct.pack("<I", size)))
    return content if riff_size is None else patched(content, (4, struct.pack("<I", riff_size)))


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize("riff_size", [None, 0, 36, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_from_a_pipe_is_read_to_its_end(size: int, riff_size: int | None) -> None:
    np.testing.assert_array_equal(read_audio(with_size(WAV, size, riff_size)), SAMPLES)


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAVEX", "PCM_16"),
        ("WAVEX", "FLOAT"),
        ("WAV", "PCM_24"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "GSM610"),
    ],
)
def test_so_is_one_of_any_format(kind: str, subtype: str, size: int) -> None:
    wav = encoded(tone(16000), 16000, kind, subtype)
    got = read_audio(with_size(wav, size))
    expected = read_audio(wav)
    np.testing.assert_array_equal(got[: len(expected)], expected)
    assert len(got) - len(expected) <= 320  # a block of GSM 6.10, where the WAV has a byte that pads it


def test_silence_in_a_pipe_is_not_taken_for_chunks() -> None:
    content = with_size(encoded(np.zeros(8000, np.int16)), 0)
    assert len(read_audio(content)) == 8000


def rf64(size64: int, wav: bytes = WAV) -> bytes:
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, min(size64 + 72, 2**64 - 1), size64, size64 // 2, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + wav[12:40] + b"\xff" * 4 + wav[44:]


@pytest.mark.parametrize("size64", [16000, 0, 2**63 - 1, 2**64 - 1])
def test_an_rf64_is_read_to_its_end_whether_it_knows_its_length_or_not(size64: int) -> None:
    np.testing.assert_array_equal(read_audio(rf64(size64)), SAMPLES)


@pytest.mark.parametrize(
    "wav", [WAV, encoded(tone(16000), 16000, "WAVEX"), rf64(16000), encoded(tone(16000), 16000, "RF64")]
)
@pytest.mark.parametrize("cut", [1, 100, 15000])
def test_a_truncated_wav_is_refused(wav: bytes, cut: int) -> None:
    message = f"expected 16000 bytes of samples as its header says, got {16000 - cut}: truncated"
    with pytest.raises(AudioError, match=message):
        read_audio(wav[:-cut])
    with pytest.raises(AudioError, match="truncated"):
        read_audio(with_size(WAV, 0x3000_0000))


def test_a_wav_of_no_samples_has_none_also_with_a_chunk_behind() -> None:
    empty = with_size(WAV, 0)[:44]
    for content in (empty, empty + b"LIST\x04\0\0\0INFO"):
        with pytest.raises(AudioError, match="expected audio, got a header without samples"):
            read_audio(content)


def test_chunks_around_the_samples_are_passed_over() -> None:
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    content = WAV[:36] + extra + WAV[36:] + extra
    np.testing.assert_array_equal(read_audio(content), SAMPLES)
    np.testing.assert_array_equal(read_audio(content + WAV), np.tile(SAMPLES, 2))
    with pytest.raises(AudioError, match="truncated"):
        read_audio(content[:-20])


@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_joined_wavs_of_odd_sizes_are_read(pad: bytes) -> None:
    odd = encoded(tone(16000)[:4001], 16000, subtype="PCM_U8").removesuffix(b"\0")[: 44 + 4001]
    assert len(read_audio(odd + pad + WAV)) == 4001 + 8000


def test_a_wav_from_a_pipe_ends_where_another_begins() -> None:
    np.testing.assert_array_equal(read_audio(with_size(WAV, 0xFFFF_FFFF) + WAV), np.tile(SAMPLES, 2))


@pytest.mark.parametrize("before", [WAV[:12], WAV[:36]])
def test_a_wav_of_a_million_chunks_is_not_read(before: bytes) -> None:
    """libsndfile would take 40 s for it."""
    for content in (before + b"JUNK\0\0\0\0" * 1_000_000 + WAV[len(before) :], WAV + b"JUNK\0\0\0\0" * 1_000_000):
        with pytest.raises(AudioError, match="expected at most 256 chunks, got more"):
            read_audio(content)


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_an_aiff_from_a_pipe_is_read_to_its_end(size: int) -> None:
    aiff = encoded(tone(16000), 16000, "AIFF")
    content = patched(aiff, (4, b"\0" * 4), (22, b"\0" * 4), (aiff.index(b"SSND") + 4, struct.pack(">I", size)))
    np.testing.assert_array_equal(read_audio(content), SAMPLES)


@pytest.mark.parametrize("tag", [0x55, 0xFFFE])
def test_mp3_in_a_wav_is_read_as_that_mp3(tag: int) -> None:
    mp3 = encoded(sweep(44100, channels=2), 44100, "MP3")
    fmt = struct.pack("<HHIIHHH", tag, 2, 44100, 8000, 1, 0, 22) + bytes(6) + b"\x55\0" + bytes(14)
    wav = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(mp3)) + mp3
    content = b"RIFF" + struct.pack("<I", len(wav)) + wav
    np.testing.assert_array_equal(read_audio(content), read_audio(mp3))
    assert AudioFile(content).channels == 2


def test_an_aiff_without_samples_is_refused_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """libsndfile seeks to -1 in it, which Python would print as an ignored exception."""
    with pytest.raises(AudioError, match="expected "):
        read_audio(encoded(tone(16000), 16000, "AIFF").replace(b"SSND", b"JUNK"))
    assert capfd.readouterr().err == ""
