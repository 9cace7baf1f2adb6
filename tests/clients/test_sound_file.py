"""clients/sound_file.py: blocks make up the file as the server reads it, with the errors of the server."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clients.sound_file import Recording
from service.spotting.audio import AudioError, Resampler, mono
from service.spotting.classify import classify_encoded
from service.spotting.files import read_audio
from service.spotting.model import Model
from tests.support.unusual_files import UNUSUAL, SoundFile

SAMPLES = np.random.default_rng(1).uniform(-0.5, 0.5, (4410, 2)).astype(np.float32)


@pytest.mark.parametrize("block_s", [0.00001, 0.04, 1.0])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_blocks_make_up_the_file(tmp_path: Path, suffix: str, block_s: float) -> None:
    path = tmp_path / f"noise{suffix}"
    soundfile.write(path, SAMPLES, 44100)
    recording = Recording(path)
    blocks = list(recording.blocks(block_s))
    assert (recording.sample_rate, recording.channels) == (44100, 2)
    assert {len(block) for block in blocks[:-1]} <= {max(1, round(block_s * 44100))}
    assert np.array_equal(np.concatenate(blocks), soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("make", UNUSUAL, ids=lambda make: make.__name__)
def test_an_unusual_file_is_sent_as_it_is_uploaded(
    tmp_path: Path, make: Callable[[np.random.Generator], SoundFile]
) -> None:
    for seed in range(5):
        path = tmp_path / str(seed)
        file = make(np.random.default_rng(seed))
        path.write_bytes(file.content)
        recording = Recording(path)
        resampler = Resampler(recording.sample_rate, 16000)
        sent = [resampler.push(mono(block)) for block in recording.blocks(0.04)]
        whole = read_audio(path)
        np.testing.assert_array_equal(np.concatenate([*sent, resampler.flush()]), whole)
        assert len(whole) >= file.samples


def write_bad(folder: Path) -> list[Path]:
    """One of each kind that is refused."""
    paths = [folder / name for name in ("empty.wav", "text.wav", "cut.wav", "rate.wav", "channels.wav", "silent.flac")]
    empty, text, cut, rate, channels, silent = paths
    empty.touch()
    text.write_text("no audio at all, but long enough to be a header of forty-four bytes")
    soundfile.write(cut, SAMPLES, 44100)
    cut.write_bytes(cut.read_bytes()[:-1000])
    soundfile.write(rate, SAMPLES, 96000)
    soundfile.write(channels, np.zeros((100, 8)), 16000)
    soundfile.write(silent, np.zeros(0), 16000)
    return paths


def test_bad_files_get_the_error_of_the_server(tmp_path: Path, model: Model) -> None:
    paths = write_bad(tmp_path)
    for path, result in zip(paths, classify_encoded(model, [(path.name, path) for path in paths]), strict=True):
        with pytest.raises(AudioError) as refused:
            Recording(path)
        assert result.error is not None
        assert str(refused.value) == result.error.message, path


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"^expected a file, got: No such file or directory$"):
        Recording(tmp_path / "none.wav")
    with pytest.raises(AudioError, match=r"^expected a file, got: Is a directory$"):
        Recording(tmp_path)


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "damaged.flac"
    soundfile.write(path, np.tile(SAMPLES, (20, 1)), 44100)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match="expected "):
        list(Recording(path).blocks(0.04))
