"""WAV files for POST /v1/classify."""

import io
from typing import Any

import numpy as np
import soundfile

from tests.support.speech import pcm, synthesize


def wav(samples: Any, rate: int = 16000, **how: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", **how)
    return file.getvalue()


YES = wav(np.frombuffer(pcm(synthesize("yes")), "<i2"))


def upload(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{i}.wav", content)) for i, content in enumerate(contents)]
