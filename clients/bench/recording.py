"""What the streams of a load say: the bundled recording, again and again, or with silence between."""

import numpy as np

from clients.demo.__main__ import RECORDING
from service.spotting.audio import SAMPLE_RATE, Samples
from service.spotting.files import read_audio

HISS = 0.0003  # peak of the silence, -70 dBFS: that of a microphone in a quiet room


def looped_recording(seconds: float) -> Samples:
    """The recording, as often as it takes."""
    once, length = read_audio(RECORDING), int(seconds * SAMPLE_RATE)
    return np.tile(once, length // len(once) + 1)[:length]


def taking_turns(seconds: float, silent: float) -> tuple[Samples, ...]:
    """The audio of several streams that speak one after another, each silent for this share of the time."""
    turns = round(1 / (1 - silent))
    speech = looped_recording(seconds / turns)
    hiss = np.random.default_rng(0).uniform(-HISS, HISS, len(speech) * (turns - 1)).astype(np.float32)
    audio = np.concatenate([speech, hiss])
    return tuple(np.roll(audio, len(speech) * turn) for turn in range(turns))
