"""Kokoro-82M: a neural synthesiser in onnxruntime, whose voices are vectors that can be mixed.

The model takes phonemes in an alphabet of its own, one style vector of 256 per number of phonemes, and a rate.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.spotting.audio import Samples
from training.speak.engines import SpeechError, at_sample_rate
from training.speak.phonemes import espeak_phonemes, replaced
from training.speak.voices import Voice

KOKORO_RATE = 24_000
MAX_TOKENS = 500
ALPHABET = json.loads(Path(__file__).with_name("kokoro_alphabet.json").read_text())  # phoneme -> token
SHORTER = [  # what Kokoro writes as one letter
    ("eɪ", "A"), ("aɪ", "I"), ("oʊ", "O"), ("əʊ", "Q"), ("aʊ", "W"), ("ɔɪ", "Y"), ("dʒ", "ʤ"), ("tʃ", "ʧ"),
]  # fmt: skip
AMERICAN = [("ɜː(?!ɹ)", "ɜɹ"), ("ɚ", "əɹ"), ("ɐ", "ə"), ("ɾ", "T"), ("ː", "")]


class Kokoro:
    """The engine; one onnxruntime session on one thread, which several threads may run."""

    name, can_mix = "kokoro", True

    def __init__(self, model: Path, voices: Path) -> None:
        """`voices`: an npz with a style matrix [lengths, 1, 256] per voice."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base
            raise SpeechError(f"{model}: expected Kokoro as ONNX, got another file: {error}") from error
        self._styles = read_styles(voices)

    @property
    def voices(self) -> list[str]:
        return sorted(self._styles)

    def speak(self, text: str, voice: Voice, rate: float) -> Samples:
        tokens = tokens_of(kokoro_phonemes(text, voice.shares[0][0]))
        if not 0 < len(tokens) <= MAX_TOKENS:
            raise SpeechError(f"expected text of 1 to {MAX_TOKENS} phonemes, got {len(tokens)}: {text!r}")
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": self._style(voice, len(tokens)),
            "speed": np.array([rate], np.float32),
        }
        return at_sample_rate(self._session.run(None, inputs)[0].ravel(), KOKORO_RATE)

    def _style(self, voice: Voice, tokens: int) -> NDArray[np.float32]:
        rows = [np.float32(share) * self._styles[name][tokens - 1].reshape(1, -1) for name, share in voice.shares]
        return np.asarray(sum(rows) / np.float32(sum(share for _, share in voice.shares)), np.float32)


def read_styles(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError) as error:
        raise SpeechError(f"{path}: expected Kokoro's voices as npz, got another file: {error}") from error


def kokoro_phonemes(text: str, voice: str) -> str:
    """Phonemes in Kokoro's alphabet: British for voices whose name begins with b, American for all others."""
    if voice.startswith("b"):
        return replaced(espeak_phonemes(text, "en-gb"), SHORTER)
    return replaced(espeak_phonemes(text, "en-us"), [*SHORTER, *AMERICAN])


def tokens_of(phonemes: str) -> list[int]:
    return [ALPHABET[phoneme] for phoneme in phonemes if phoneme in ALPHABET]
