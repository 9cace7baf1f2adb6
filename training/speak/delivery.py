"""How a synthesised text becomes a recording: cut to its sound, at another pitch and tempo, in faint noise.

Cheap beside synthesis, so several recordings are made of one synthesis.
"""

from dataclasses import dataclass

import librosa
import numpy as np
import soxr

from service.spotting.audio import Samples
from training.data.background_talk import hiss
from training.model.frontend import SAMPLE_RATE

EDGE = 0.01  # of the peak; quieter samples before and after the speech are cut off
EDGE_S = 0.04  # kept before the first and after the last louder one: breath and a faint last consonant
SEMITONES = (-2.5, 2.5)  # of pitch and formants together, as of a larger or smaller speaker
TEMPO = (0.88, 1.14)
PEAK_DB = (-14.0, -1.0)  # below full scale
HISS_DB = (-70.0, -20.0)  # below the peak: as in recordings by people, or the noise alone would give away who speaks
LEAD_S = (0.03, 0.2)  # before and after a word
WORD_S = 0.94  # length that words are brought to which are up to MAX_HURRY as long: a clip has one second
MAX_HURRY = 1.25


@dataclass(frozen=True)
class Delivery:
    """What is changed in a synthesised text."""

    semitones: float = 0.0
    tempo: float = 1.0
    peak_db: float = -6.0
    hiss_db: float = -60.0
    before_s: float = 0.1
    after_s: float = 0.1


def draw_delivery(rng: np.random.Generator) -> Delivery:
    ranges = (SEMITONES, TEMPO, PEAK_DB, HISS_DB, LEAD_S, LEAD_S)
    return Delivery(*(round(float(rng.uniform(*limits)), 3) for limits in ranges))


def deliver(speech: Samples, delivery: Delivery, is_word: bool, rng: np.random.Generator) -> Samples:
    """Synthesised samples [n] as a recording at 16 kHz; a word lasts at most about a second, if it can."""
    speech = changed(trimmed(speech), delivery.semitones, delivery.tempo)
    seconds = len(speech) / SAMPLE_RATE
    if is_word and WORD_S < seconds <= MAX_HURRY * WORD_S:
        speech = changed(speech, 0.0, seconds / WORD_S)
    before, after = round(delivery.before_s * SAMPLE_RATE), round(delivery.after_s * SAMPLE_RATE)
    if is_word and len(speech) <= SAMPLE_RATE:
        room = SAMPLE_RATE - len(speech)
        before = min(before, room)
        after = min(after, room - before)
    samples = np.pad(speech * (amplitude(delivery.peak_db) / max(1e-6, np.abs(speech).max())), (before, after))
    noise = hiss(len(samples), rng)
    noise *= amplitude(delivery.peak_db + delivery.hiss_db) / np.sqrt(np.square(noise).mean())
    return np.asarray((samples + noise).clip(-1, 1), np.float32)


def trimmed(speech: Samples) -> Samples:
    """Samples [n] from shortly before the first to shortly after the last that is louder than EDGE of the peak."""
    loud = np.flatnonzero(np.abs(speech) > EDGE * np.abs(speech).max(initial=0))
    if not len(loud):
        return speech
    margin = round(EDGE_S * SAMPLE_RATE)
    return speech[max(0, loud[0] - margin) : loud[-1] + margin + 1]


def changed(speech: Samples, semitones: float, tempo: float) -> Samples:
    """Samples [n] at another pitch by resampling, and at `tempo` times their tempo by a phase vocoder."""
    factor = 2 ** (semitones / 12)
    played = soxr.resample(speech, SAMPLE_RATE * factor, SAMPLE_RATE) if semitones else speech
    stretch = tempo / factor  # what resampling has not done
    return played if abs(stretch - 1) < 0.01 else librosa.effects.time_stretch(played, rate=stretch)


def amplitude(db: float) -> float:
    return float(10 ** (db / 20))
