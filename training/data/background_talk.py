"""What is going on behind the words of a stream: one person talking, several, noise, music, hiss, or nothing.

Voices come from the running speech of a corpus and never say a keyword. Composes in numpy.
"""

import numpy as np

from service.spotting.audio import FULL_SCALE, Samples
from training.data.corpus import Corpus, Utterance, gain_to_loudness
from training.data.synthetic_streams import background as recorded_noise
from training.model.frontend import SAMPLE_RATE

SHARES = {"none": 0.12, "noise": 0.22, "hiss": 0.08, "talker": 0.28, "babble": 0.2, "talker and noise": 0.1}
VOICES = (3, 7)  # number of voices in babble
PAUSE_S = (0.1, 0.6)  # between two sentences of a voice
NOISE_SNR_DB, TALK_SNR_DB = (-3.0, 30.0), (-5.0, 30.0)  # level of a word against what is behind it
TRIES = 10  # to find a recording without a keyword
EASIER_DB = 12.0  # added to the SNR where a run begins


def draw_background(samples: int, corpus: Corpus, strength: float, rng: np.random.Generator) -> Samples:
    """Something behind words of LOUDNESS, at its level; less often and quieter with a `strength` below 1."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if kind == "none" or rng.random() > strength or (not corpus.speech and kind in ("talker", "babble")):
        return np.zeros(samples, np.float32)
    snr_db = rng.uniform(*(NOISE_SNR_DB if kind in ("noise", "hiss") else TALK_SNR_DB)) + EASIER_DB * (1 - strength)
    return at_loudness(background(kind, samples, corpus, rng)) * np.float32(10 ** (-snr_db / 20))


def background(kind: str, samples: int, corpus: Corpus, rng: np.random.Generator) -> Samples:
    """Samples of a kind, at any level."""
    match kind:
        case "talker":
            return voice(samples, corpus, rng)
        case "babble":
            return babble(samples, corpus, rng)
        case "hiss":
            return hiss(samples, rng)
        case "talker and noise" if corpus.speech:
            quieter = np.float32(10 ** (rng.uniform(-15, 5) / 20))
            return voice(samples, corpus, rng) + quieter * recorded_noise(samples, corpus, rng)
        case _:
            return recorded_noise(samples, corpus, rng)


def babble(samples: int, corpus: Corpus, rng: np.random.Generator) -> Samples:
    """Several voices at once, nearly equally loud."""
    count = rng.integers(VOICES[0], VOICES[1], endpoint=True)
    gains = 10 ** (rng.uniform(-4, 4, count) / 20)
    return np.sum([gain * voice(samples, corpus, rng) for gain in gains], axis=0, dtype=np.float32)


def voice(samples: int, corpus: Corpus, rng: np.random.Generator) -> Samples:
    """One person's running speech without keywords, sentence after sentence, from anywhere in a recording on."""
    recording = without_keyword(corpus, rng)
    spoken = recording.samples[rng.integers(max(1, len(recording.samples) - samples // 2)) :]
    result, at = np.zeros(samples, np.float32), 0
    while at < samples:
        piece = spoken[: samples - at]
        result[at : at + len(piece)] = piece / np.float32(FULL_SCALE)
        at += len(piece) + round(rng.uniform(*PAUSE_S) * SAMPLE_RATE)
        spoken = recording.samples
    return result


def without_keyword(corpus: Corpus, rng: np.random.Generator) -> Utterance:
    for _ in range(TRIES):
        recording = corpus.any_speech(rng)
        if all(word.kind == "speech" for word in recording.words):
            break
    return recording


def hiss(samples: int, rng: np.random.Generator) -> Samples:
    """Noise whose spectrum falls by a random slope, from white to a little more than pink."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    return np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** -rng.uniform(0, 0.6), samples).astype(np.float32)


def at_loudness(samples: Samples) -> Samples:
    return samples * np.float32(gain_to_loudness(samples, quietest=1e-4))
