"""One reader: what a file holds, at the model's rate or in blocks at its own, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from service.spotting.audio import AudioError, Resampler
from service.spotting.files import AudioFile, read_audio
from tests.support.sound_files import encoded, patched, sweep, tone

WAV = encoded(tone(16000))


def test_16_khz_files_are_read_as_they_are(tmp_path: Path) -> None:
    samples = (tone(16000) * 32768).astype(np.int16)
    expected = samples.astype(np.float32) / 32768
    for kind in ("WAV", "FLAC", "AIFF"):
        np.testing.assert_array_equal(read_audio(encoded(samples, 16000, kind)), expected)
    (tmp_path / "a.wav").write_bytes(encoded(samples, 16000))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), expected)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_lossy_files_are_read(kind: str, subtype: str | None) -> None:
    got = read_audio(encoded(tone(48000), 48000, kind, subtype))
    assert abs(len(got) - 8000) < 1200  # MP3 pads
    assert np.sqrt(np.mean(got[2000:6000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF"])
def test_samples_of_every_width_are_read(kind: str, subtype: str) -> None:
    subtype = "PCM_S8" if (kind, subtype) == ("AIFF", "PCM_U8") else subtype
    tolerance = 0.02 if subtype in ("PCM_U8", "PCM_S8", "ULAW", "ALAW") else 1e-4
    np.testing.assert_allclose(read_audio(encoded(tone(16000), 16000, kind, subtype)), tone(16000), atol=tolerance)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "G721_32", "ULAW"])
def test_packed_wavs_are_read(subtype: str) -> None:
    assert len(read_audio(encoded(tone(16000), 16000, subtype=subtype))) >= 8000


def test_stereo_is_averaged_and_resampled_as_a_stream_is() -> None:
    left, right = tone(48000), np.zeros(24000, np.float32)
    resampler = Resampler(48000, 16000)
    expected = np.concatenate([resampler.push(left / np.float32(2)), resampler.flush()])
    stereo = encoded(np.stack([left, right], axis=1), 48000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(stereo), expected, atol=1e-7)


@pytest.mark.parametrize("size", [1, 640, 10**6])
@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_blocks_of_any_size_are_the_file(kind: str, size: int) -> None:
    content = encoded(sweep(44100, 0.2, channels=2), 44100, kind)
    file = AudioFile(content)
    blocks = list(file.blocks(size))
    assert (file.sample_rate, file.channels) == (44100, 2)
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(list(AudioFile(content).blocks())))


def test_a_long_file_is_read_in_blocks_and_is_whole() -> None:
    samples = np.tile((tone(8000) * 32768).astype(np.int16), 60)  # 30 s
    blocks = list(AudioFile(encoded(samples, 8000, "FLAC")).blocks())
    assert len(blocks) == 4
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0] * 32768, samples)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected audio, got an empty file"),
        (b"yes, no, up, down" * 20, "expected WAV, AIFF, FLAC, OGG or MP3, got: Format not recognised."),
        ("\ufefftext in UTF-16".encode("utf-16-le") * 20, "expected WAV, AIFF, FLAC, OGG or MP3, got: "),
        (WAV[:-100], "expected 16000 bytes of samples as its header says, got 15900: truncated"),
        (WAV[:44], "expected 16000 bytes of samples as its header says, got 0: truncated"),
        (WAV[:20], "expected WAV, AIFF, FLAC, OGG or MP3, got"),
        (encoded(tone(16000, 0), 16000), "expected audio, got a header without samples"),
        (encoded(tone(16000), 16000, "FLAC")[:18] + bytes(8), "expected WAV, AIFF, FLAC, OGG or MP3, got"),
        (encoded(tone(96000), 96000), "expected 8000 to 48000 Hz, got 96000"),
        (encoded(tone(4000), 4000), "expected 8000 to 48000 Hz, got 4000"),
        (encoded(np.zeros((100, 8), np.float32), 16000), "expected 1 or 2 channels, got 8"),
        (encoded(tone(16000), 16000, "AU"), "expected WAV, AIFF, FLAC, OGG or MP3, got: Format not recognised."),
        (encoded(tone(16000), 16000, "AIFF")[:-100], "expected 16008 bytes of samples as its header says, got 15908"),
        (encoded(tone(16000, 2.5), 16000), "expected at most 2 s, got 2.5 s"),
        (encoded(tone(16000, 1.5), 16000) * 2, "expected at most 2 s, got more"),
        (encoded(np.array([0, np.nan], np.float32), 16000, subtype="FLOAT"), "expected samples within +-8"),
    ],
)
def test_bad_files_are_refused_with_expected_and_got(content: bytes, message: str) -> None:
    with pytest.raises(AudioError) as refused:
        read_audio(content, max_s=2)
    assert str(refused.value).startswith(message)


def test_a_header_that_promises_more_than_comes_costs_nothing() -> None:
    content = encoded(tone(16000), 16000, "FLAC")
    content = patched(content, (21, bytes([content[21] | 15])), (22, b"\xff" * 4))  # the 36 bits of the length
    with pytest.raises(AudioError, match="expected at most 3600 s, got"):
        read_audio(content)


def unknown_length(flac: bytes) -> bytes:
    """A FLAC as it is written to a pipe: 0 in the 36 bits of its length."""
    return patched(flac, (21, bytes([flac[21] & 0xF0])), (22, b"\0" * 4))


@pytest.mark.parametrize("samples", [100, 4095, 4096, 4097, 20000])
def test_a_flac_of_unknown_length_is_read_to_its_end(samples: int) -> None:
    flac = encoded((sweep(seconds=2)[:samples] * 32768).astype(np.int16), 16000, "FLAC")
    np.testing.assert_array_equal(read_audio(unknown_length(flac)), read_audio(flac))
    for size in (1, 640, samples):
        assert sum(map(len, AudioFile(unknown_length(flac)).blocks(size))) == samples
    with pytest.raises(AudioError, match=r"^expected at most 0.001 s, got more$"):
        read_audio(unknown_length(flac), max_s=0.001)


def test_a_truncated_flac_is_refused() -> None:
    content = encoded(np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32), 16000, "FLAC")
    with pytest.raises(AudioError, match="expected"):
        read_audio(content[: len(content) // 2])


KINDS = [("WAV", None), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_joined_files_are_read_to_the_end_of_the_last(kind: str, subtype: str | None) -> None:
    files = [encoded(sweep(seconds=0.7, seed=seed), 16000, kind, subtype) for seed in range(3)]
    expected = np.concatenate([read_audio(file) for file in files])
    np.testing.assert_array_equal(read_audio(b"".join(files)), expected)
    assert sum(map(len, AudioFile(b"".join(files)).blocks(640))) == len(expected)


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(16000, 2), (48000, 1), (24000, 2)])
def test_a_joined_file_of_another_rate_and_other_channels_follows_at_those_of_the_first(
    kind: str, subtype: str | None, rate: int, channels: int
) -> None:
    first = encoded(sweep(16000, 0.5), 16000, kind, subtype)
    second = encoded(sweep(rate, 0.5, channels, seed=1), rate, kind, subtype)
    mono_first, stereo_first = AudioFile(first + second), AudioFile(second + first)
    assert (mono_first.sample_rate, mono_first.channels) == (16000, 1)
    assert (stereo_first.sample_rate, stereo_first.channels) == (rate, channels)
    alone = read_audio(second)
    both = read_audio(first + second)
    assert abs(len(both) - len(read_audio(first)) - len(alone)) <= 1
    np.testing.assert_allclose(both[-len(alone) :], alone, atol=1e-5)
    turned = np.concatenate(list(stereo_first.blocks()))
    assert turned.shape[1] == channels
    assert abs(len(turned) / rate - len(both) / 16000) < 0.001


def test_joined_files_are_limited_in_number() -> None:
    with pytest.raises(AudioError, match="expected at most 1000 joined files, got more"):
        read_audio(encoded(tone(16000, 0.01), 16000) * 1001)
    assert len(read_audio(encoded(tone(16000, 0.01), 16000) * 1000)) == 160_000


def test_a_part_without_samples_is_passed_over() -> None:
    empty = encoded(tone(48000, 0), 48000)
    assert AudioFile(empty + WAV).sample_rate == 16000
    np.testing.assert_array_equal(read_audio(empty + WAV + empty), read_audio(WAV))
