"""How well the end-pointer agrees with the word times of running speech, which come from another aligner.

Two ways, as a word in running speech has no silence of its own. Laid in noise: each word is cut out at its times and
put into a second of background, so both its ends are known, though cut. Beside a pause: the start of words that begin a
recording and the end of words that end it, as they were spoken; only where the recording has a long enough pause.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.spotting.audio import FULL_SCALE, Samples
from training.data.corpus import Utterance, WordSpan
from training.data.endpoints import endpoints
from training.model.frontend import SAMPLE_RATE
from training.records import Record

SNRS_DB = (30, 20, 10)
MIN_WORD_S, MAX_WORD_S = 0.1, 0.8  # length of a word that is laid in noise
PAUSE_S = 0.15  # minimum silence of a recording beyond a word
AROUND_S = 0.4  # silence that is passed to the end-pointer with the word
NEAR_S = 0.06  # largest error that counts as near


class EndpointError(NamedTuple):
    """Measured minus reference time in seconds; None where only the other side is known."""

    start: float | None
    end: float | None


@dataclass(frozen=True)
class EndpointSummary(Record):
    """Errors of one side of words; without words there are no figures."""

    words: int
    median_s: float | None = None
    median_size_s: float | None = None
    within_60_ms: float | None = None  # share


def agreement(
    recordings: Iterable[Utterance], noise: Samples, rng: np.random.Generator
) -> dict[str, dict[str, EndpointSummary]]:
    """Errors of starts and ends, for each way."""
    ways = [*(f"laid in noise, {snr} dB" for snr in SNRS_DB), "beside a pause"]
    errors: dict[str, list[EndpointError]] = {way: [] for way in ways}
    for recording in recordings:
        samples = (recording.samples / FULL_SCALE).astype(np.float32)
        for word in recording.words[1:]:
            if MIN_WORD_S <= word.end_s - word.start_s <= MAX_WORD_S:
                cut = samples[int(word.start_s * SAMPLE_RATE) : int(word.end_s * SAMPLE_RATE)]
                for snr in SNRS_DB:
                    errors[f"laid in noise, {snr} dB"].append(laid_in_noise(cut, noise, snr, rng))
        errors["beside a pause"] += beside_a_pause(samples, recording.words[1:], recording.text)
    return {
        way: {
            side: summary([value for error in of_way if (value := getattr(error, side)) is not None])
            for side in EndpointError._fields
        }
        for way, of_way in errors.items()
    }


def laid_in_noise(word: Samples, noise: Samples, snr_db: float, rng: np.random.Generator) -> EndpointError:
    place = rng.integers(SAMPLE_RATE - len(word))
    clip = np.take(noise, rng.integers(len(noise)) + np.arange(SAMPLE_RATE), mode="wrap")
    clip = clip * np.float32(float(np.std(word)) / max(1e-5, float(np.std(clip))) * 10 ** (-snr_db / 20))
    clip[place : place + len(word)] += word
    start, end = endpoints(clip)
    return EndpointError(start - place / SAMPLE_RATE, end - (place + len(word)) / SAMPLE_RATE)


def beside_a_pause(samples: Samples, words: Sequence[WordSpan], text: Sequence[str]) -> Iterator[EndpointError]:
    """Of the first and the last word of a recording, if these are among the words with times."""
    if not words:
        return
    first, last, length_s = words[0], words[-1], len(samples) / SAMPLE_RATE
    if first.word == text[0] and first.start_s >= PAUSE_S:
        before = min(AROUND_S, first.start_s)
        start, _ = endpoints(between(samples, first.start_s - before, first.end_s))
        yield EndpointError(start - before, None)
    if last.word == text[-1] and length_s - last.end_s >= PAUSE_S:
        _, end = endpoints(between(samples, last.start_s, last.end_s + AROUND_S))
        yield EndpointError(None, end - (last.end_s - last.start_s))


def between(samples: Samples, start_s: float, end_s: float) -> Samples:
    return samples[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]


def summary(errors: Sequence[float]) -> EndpointSummary:
    if not errors:
        return EndpointSummary(0)
    return EndpointSummary(
        words=len(errors),
        median_s=round(float(np.median(errors)), 3),
        median_size_s=round(float(np.median(np.abs(errors))), 3),
        within_60_ms=round(float(np.mean(np.abs(errors) <= NEAR_S)), 3),
    )
