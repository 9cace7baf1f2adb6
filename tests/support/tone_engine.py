"""A synthesiser for tests: every text is a tone whose length grows with it. Needs no program and no files."""

import threading

import numpy as np

from service.spotting.audio import Samples
from training.model.frontend import SAMPLE_RATE
from training.speak.voices import Voice

VOICES = tuple(f"voice{i}" for i in range(20))


class ToneEngine:
    """Remembers what it has spoken; after `fails_after` texts it breaks."""

    name, can_mix, voices = "tones", True, VOICES

    def __init__(self, fails_after: int | None = None) -> None:
        self.spoken: list[tuple[str, str]] = []
        self._fails_after, self._lock = fails_after, threading.Lock()

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        with self._lock:
            if self._fails_after is not None and len(self.spoken) >= self._fails_after:
                raise RuntimeError("broken")
            self.spoken.append((text, str(voice)))
        time = np.arange(int(0.05 * (4 + len(text)) / rate * SAMPLE_RATE)) / SAMPLE_RATE
        silence = np.zeros(SAMPLE_RATE // 5)
        tone = 0.5 * np.sin(2 * np.pi * (300 + 10 * len(text)) * time)
        return np.concatenate([silence, tone, silence]).astype(np.float32)
