"""What every speech synthesiser offers here, and the choice of one by name."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr

from service.spotting.audio import Samples
from training.errors import TrainingError
from training.model.frontend import SAMPLE_RATE
from training.speak.voices import Voice

DOWNLOAD = "; `rc-train download voices` fetches Kokoro's into ./voices"
ENGINES = ("kokoro", "piper", "espeak-ng", "flite")


class SpeechError(TrainingError):
    """A synthesiser, its voices or its text are not as expected; the message says what is missing."""


class Engine(Protocol):
    """A synthesiser; several threads may speak with it at once."""

    @property
    def name(self) -> str: ...

    @property
    def voices(self) -> Sequence[str]: ...

    @property
    def can_mix(self) -> bool: ...

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        """The text as samples at 16 kHz; `rate` 2 is twice as fast as the voice usually speaks."""


def open_engine(name: str, model: Path | None, voices: Path | None) -> Engine:
    """The engine of that name. Raises SpeechError where its program or files are missing."""
    from training.speak import kokoro, piper, programs  # each imports this module

    if name == "kokoro":
        return kokoro.Kokoro(needed(model, "--voice-model", DOWNLOAD), needed(voices, "--voices", DOWNLOAD))
    if name == "piper":
        return piper.Piper(needed(voices, "--voices"))
    if name == "espeak-ng":
        return programs.EspeakNg()
    if name == "flite":
        return programs.Flite(needed(voices, "--voices"))
    raise ValueError(f"engine: expected one of {', '.join(ENGINES)}, got {name!r}")


def needed(path: Path | None, option: str, hint: str = "") -> Path:
    """The path of an option. Raises SpeechError where there is none."""
    if path is None or not path.exists():
        raise SpeechError(f"{option}: expected a file or folder, found none: {path}{hint}")
    return path


def needed_program(name: str) -> str:
    if not shutil.which(name):
        raise SpeechError(f"expected the program {name}, found none: on Debian, apt-get install {name}")
    return name


def at_sample_rate(samples: Samples, rate: int) -> Samples:
    """Samples [n] of any rate at SAMPLE_RATE."""
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)
