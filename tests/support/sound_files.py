"""Sound files made in a test: tones, encoded by libsndfile or, where it is installed, by ffmpeg."""

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Audio = NDArray[np.float32]

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> Audio:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def sweep(rate: int = 16000, seconds: float = 1.0, channels: int = 1, seed: int = 0) -> Audio:
    """A rising tone with some noise, [samples] or [samples, channels]: no two places of it are alike."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(rate * seconds)) / rate
    rising = 0.4 * np.sin(2 * np.pi * (300 + 100 * seed + 600 * time_s) * time_s) + 0.01 * rng.normal(size=len(time_s))
    gains = np.linspace(1, 0.5, channels)
    return np.squeeze(rising[:, np.newaxis] * gains, 1 if channels == 1 else ()).astype(np.float32)


def encoded(
    samples: NDArray[np.float32 | np.int16], rate: int = 16000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def ffmpeg(samples: Audio, rate: int, *arguments: str, to: str = "-") -> bytes:
    """The samples as ffmpeg encodes them, to a pipe or to a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.wav"
        soundfile.write(source, samples, rate, subtype="PCM_16")
        done = run_ffmpeg("-i", str(source), *arguments, to, folder=folder)
        return done if to == "-" else (Path(folder) / to).read_bytes()


def run_ffmpeg(*arguments: str, folder: str | Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-nostdin", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout


def patched(content: bytes, *patches: tuple[int, bytes]) -> bytes:
    """The same with other bytes at some places."""
    data = bytearray(content)
    for at, piece in patches:
        data[at : at + len(piece)] = piece
    return bytes(data)
