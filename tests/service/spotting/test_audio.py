import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from service.spotting.audio import AudioError, Resampler, check_amplitude, read_audio


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def encoded(samples: NDArray[np.float32 | np.int16], rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 47999, 48000])
@pytest.mark.parametrize("chunk", [1, 7, 160, 1600])
def test_resampling_in_any_pieces_is_resampling_the_whole(rate: int, chunk: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, rate // 4).astype(np.float32)
    whole, pieces = Resampler(rate, 16000), Resampler(rate, 16000)
    expected = np.concatenate([whole.push(samples), whole.flush()])
    parts = [pieces.push(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    np.testing.assert_array_equal(np.concatenate([*parts, pieces.flush()]), expected)
    assert abs(len(expected) - 4000) <= 1


@pytest.mark.parametrize(("rate", "delay_ms"), [(48000, 13), (44100, 14), (8000, 31)])
def test_resampling_holds_back_little_and_always_the_same(rate: int, delay_ms: float) -> None:
    resampler, out = Resampler(rate, 16000), 0
    for pieces in range(1, 101):
        out += len(resampler.push(np.zeros(rate // 100, np.float32)))
        assert pieces * 160 - out <= delay_ms * 16


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_resampling_keeps_time_and_level_and_takes_away_what_16_khz_cannot_hold(rate: int) -> None:
    resampler = Resampler(rate, 16000)
    got = np.concatenate([resampler.push(tone(rate)), resampler.flush()])
    middle = slice(1000, 7000)
    lag = 4  # samples, a quarter of a millisecond
    off = min(np.abs(np.roll(got, shift)[middle] - tone(16000)[middle]).max() for shift in range(-lag, lag + 1))
    assert off < 0.06
    if rate == 48000:
        above = Resampler(rate, 16000).push(tone(rate, hz=9000))
        assert np.abs(above[1000:7000]).max() < 1e-3


def test_a_reset_and_a_flush_start_afresh() -> None:
    samples = tone(48000)
    resampler = Resampler(48000, 16000)
    expected = np.concatenate([resampler.push(samples), resampler.flush()])
    np.testing.assert_array_equal(np.concatenate([resampler.push(samples), resampler.flush()]), expected)
    resampler.push(samples)
    resampler.reset()
    np.testing.assert_array_equal(np.concatenate([resampler.push(samples), resampler.flush()]), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32767])
def test_numbers_that_are_no_audio_are_refused(value: float) -> None:
    with pytest.raises(AudioError, match=r"expected samples within \+-8 where full scale is 1, got (nan|inf|32767)"):
        check_amplitude(np.array([0, value, 0], np.float32))


def test_16_khz_files_are_read_as_they_are(tmp_path: Path) -> None:
    samples = (tone(16000) * 32768).astype(np.int16)
    expected = samples.astype(np.float32) / 32768
    np.testing.assert_array_equal(read_audio(encoded(samples, 16000)), expected)
    np.testing.assert_array_equal(read_audio(encoded(samples, 16000, "FLAC")), expected)
    (tmp_path / "a.wav").write_bytes(encoded(samples, 16000))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), expected)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_lossy_files_are_read(kind: str, subtype: str | None) -> None:
    got = read_audio(encoded(tone(48000), 48000, kind, subtype))
    assert abs(len(got) - 8000) < 1200  # MP3 pads
    assert np.sqrt(np.mean(got[2000:6000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_stereo_is_averaged_and_resampled_as_a_stream_is() -> None:
    left, right = tone(48000), np.zeros(24000, np.float32)
    resampler = Resampler(48000, 16000)
    expected = np.concatenate([resampler.push(left / 2), resampler.flush()])
    stereo = encoded(np.stack([left, right], axis=1), 48000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(stereo), expected, atol=1e-7)


def test_a_piped_wav_of_unknown_length_is_read_to_its_end() -> None:
    content = bytearray(encoded(tone(16000), 16000))
    content[4:8] = content[40:44] = b"\xff" * 4
    assert len(read_audio(bytes(content))) == 8000


WAV = encoded(tone(16000), 16000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected audio, got an empty file"),
        (b"yes, no, up, down" * 20, "expected WAV, FLAC, OGG or MP3, got: Format not recognised."),
        (WAV[:-100], "expected 16000 bytes of samples as its header says, got 15900: truncated"),
        (WAV[:44], "expected 16000 bytes of samples as its header says, got 0: truncated"),
        (WAV[:20], "expected WAV, FLAC, OGG or MP3, got"),
        (encoded(tone(16000, 0), 16000), "expected audio, got a header without samples"),
        (encoded(tone(96000), 96000), "expected 8000 to 48000 Hz, got 96000"),
        (encoded(tone(4000), 4000), "expected 8000 to 48000 Hz, got 4000"),
        (encoded(np.zeros((100, 8), np.float32), 16000), "expected 1 or 2 channels, got 8"),
        (encoded(tone(16000), 16000, "AIFF"), "expected WAV, FLAC, OGG or MP3, got: Format not recognised."),
        (encoded(tone(16000, 2.5), 16000), "expected at most 2 s, got 2.5 s"),
        (encoded(np.array([0, np.nan], np.float32), 16000, subtype="FLOAT"), "expected samples within +-8"),
    ],
)
def test_bad_files_are_refused_with_expected_and_got(content: bytes, message: str) -> None:
    with pytest.raises(AudioError) as refused:
        read_audio(content, max_s=2)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("before", [WAV[:12], WAV[:36]])
def test_a_wav_of_a_million_chunks_is_not_read(before: bytes) -> None:
    """libsndfile would take 40 s for it."""
    content = before + b"JUNK\0\0\0\0" * 1_000_000 + WAV[len(before) :]
    with pytest.raises(AudioError, match="expected at most 256 chunks, got more"):
        read_audio(content)
    with pytest.raises(AudioError, match="expected at most 256 chunks, got more"):
        read_audio(WAV + b"JUNK\0\0\0\0" * 1_000_000)


def test_a_header_that_promises_more_than_comes_costs_nothing() -> None:
    content = bytearray(encoded(tone(16000), 16000, "FLAC"))
    content[21] |= 15  # the 36 bits of the length in STREAMINFO
    content[22:26] = b"\xff" * 4
    with pytest.raises(AudioError, match="expected at most 3600 s, got"):
        read_audio(bytes(content))


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "G721_32", "ULAW"])
def test_packed_wavs_are_read(subtype: str) -> None:
    assert len(read_audio(encoded(tone(16000), 16000, subtype=subtype))) >= 8000


def test_a_tag_before_the_audio_is_passed_over_but_only_before_what_has_tags() -> None:
    tag = b"ID3\4\0\0\0\0\1\0" + bytes(128)
    assert len(read_audio(tag + encoded(tone(16000), 16000, "MP3"))) >= 8000
    with pytest.raises(AudioError, match="Format not recognised"):
        read_audio(tag + WAV)


def test_a_truncated_flac_is_refused() -> None:
    content = encoded(np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32), 16000, "FLAC")
    with pytest.raises(AudioError, match="expected"):
        read_audio(content[: len(content) // 2])


def test_a_chunk_before_the_samples_is_skipped() -> None:
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    content = WAV[:36] + extra + WAV[36:]
    assert len(read_audio(content)) == 8000
    with pytest.raises(AudioError, match="truncated"):
        read_audio(content[:-2])
