"""How well the end-pointer agrees with the word times of running speech, which were found without it.

Two ways, as a word in running speech has no silence of its own. Laid in noise: each word is cut out at its times and
put into a second of background, so both its ends are known, though cut. Beside a pause: the start of words that begin a
recording and the end of words that end it, as they were spoken; only where the recording goes on long enough.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from training.data.corpus import Floats, Utterance, WordSpan
from training.data.endpoints import endpoints
from training.model.frontend import SAMPLE_RATE

SNRS_DB = (30, 20, 10)
SHORTEST_S, LONGEST_S = 0.1, 0.8  # of a word that is laid in noise
PAUSE_S = 0.15  # of silence that a recording must have beyond a word
AROUND_S = 0.4  # of it that the end-pointer is given
NEAR_S = 0.06


class Error(NamedTuple):
    """Found less given, seconds; None where only the other one is known."""

    start: float | None
    end: float | None


def agreement(recordings: Iterable[Utterance], noise: Floats, rng: Generator) -> dict[str, Any]:
    """Median error and share of near ones of starts and ends, for each way."""
    ways = [*(f"laid in noise, {snr} dB" for snr in SNRS_DB), "beside a pause"]
    errors: dict[str, list[Error]] = {way: [] for way in ways}
    for spoken in recordings:
        samples = (spoken.samples / 32768).astype(np.float32)
        for word in spoken.words[1:]:
            if SHORTEST_S <= word.end_s - word.start_s <= LONGEST_S:
                cut = samples[int(word.start_s * SAMPLE_RATE) : int(word.end_s * SAMPLE_RATE)]
                for snr in SNRS_DB:
                    errors[f"laid in noise, {snr} dB"].append(laid_in_noise(cut, noise, snr, rng))
        errors["beside a pause"] += beside_a_pause(samples, spoken.words[1:], spoken.text)
    return {
        way: {side: summary([x for error in some if (x := getattr(error, side)) is not None]) for side in Error._fields}
        for way, some in errors.items()
    }


def laid_in_noise(word: Floats, noise: Floats, snr_db: float, rng: Generator) -> Error:
    place = rng.integers(SAMPLE_RATE - len(word))
    clip = np.take(noise, rng.integers(len(noise)) + np.arange(SAMPLE_RATE), mode="wrap")
    clip = clip * np.float32(float(np.std(word)) / max(1e-5, float(np.std(clip))) * 10 ** (-snr_db / 20))
    clip[place : place + len(word)] += word
    start, end = endpoints(clip)
    return Error(start - place / SAMPLE_RATE, end - (place + len(word)) / SAMPLE_RATE)


def beside_a_pause(samples: Floats, words: Sequence[WordSpan], text: Sequence[str]) -> Iterator[Error]:
    """Of the first and the last word of a recording, if these are among the words with times."""
    if not words:
        return
    first, last, length_s = words[0], words[-1], len(samples) / SAMPLE_RATE
    if first.word == text[0] and first.start_s >= PAUSE_S:
        before = min(AROUND_S, first.start_s)
        found, _ = endpoints(between(samples, first.start_s - before, first.end_s))
        yield Error(found - before, None)
    if last.word == text[-1] and length_s - last.end_s >= PAUSE_S:
        _, found = endpoints(between(samples, last.start_s, last.end_s + AROUND_S))
        yield Error(None, found - (last.end_s - last.start_s))


def between(samples: Floats, start_s: float, end_s: float) -> Floats:
    return samples[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]


def summary(errors: Sequence[float]) -> dict[str, float]:
    if not errors:
        return {"words": 0}
    return {
        "words": len(errors),
        "median_s": round(float(np.median(errors)), 3),
        "median_size_s": round(float(np.median(np.abs(errors))), 3),
        "within_60_ms": round(float(np.mean(np.abs(errors) <= NEAR_S)), 3),
    }
