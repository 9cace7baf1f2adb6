"""Keyword spotters of one stream, in this process: 16-bit PCM at 16 kHz in, detections out, no transport.

Each imports its own package when it is made, so that this module can be imported in the peers' environment, which has
nothing of ours, and in ours, which has nothing of theirs.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

MODEL = Path(__file__).parents[2] / "models" / "speech-commands-rc"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "go", "stop")
BYTES_PER_S = 32000
CHUNK_MS = 80  # the chunk that openWakeWord asks for
FRAMES_PER_S = 100  # of PocketSphinx
MAX_LISTED = 100  # detections that PocketSphinx may hold before it starts its utterance again


@dataclass(frozen=True)
class EngineDetection:
    """A keyword, reported after `reported_s` of the audio; the times of its word only where the engine has them."""

    label: str
    reported_s: float
    score: float
    start_s: float | None = None
    end_s: float | None = None


class PeerEngine(Protocol):
    def push(self, pcm: bytes) -> list[EngineDetection]: ...


class RankCoding:
    """This service's model for one stream alone: nothing to batch with."""

    def __init__(self, model: Path = MODEL) -> None:
        from service.spotting.events import Detection
        from service.spotting.spotter import Spotter

        self._spotter, self._detection = Spotter(model), Detection

    def push(self, pcm: bytes) -> list[EngineDetection]:
        events = self._spotter.push(np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768))
        return [
            EngineDetection(event.label, event.audio_time_s, event.score)
            for event in events
            if isinstance(event, self._detection)
        ]


class OpenWakeWord:
    """openWakeWord with the wake words of its wheel; it has no others. Reports each crossing of `threshold`."""

    def __init__(self, model: Any, threshold: float) -> None:
        self._model, self._threshold = model, threshold
        self._pushed_s = 0.0
        self._above: set[str] = set()

    def push(self, pcm: bytes) -> list[EngineDetection]:
        """Push whole chunks of 80 ms."""
        scores = self._model.predict(np.frombuffer(pcm, "<i2"))
        self._pushed_s += len(pcm) / BYTES_PER_S
        before, self._above = self._above, {label for label, score in scores.items() if score >= self._threshold}
        return [
            EngineDetection(label, round(self._pushed_s, 3), float(scores[label]))
            for label in sorted(self._above - before)
        ]


class PocketSphinx:
    """A decoder that spots a keyword list. It reports a word `kws_delay` frames (0.1 s) after its end, and may later
    find a better place for a word already reported, which is not reported again.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._pushed_s = self._started_s = 0.0
        self._hypothesis = ""  # the hypothesis so far
        self._reported_to_s: dict[str, float] = {}  # the end of each keyword's last word
        decoder.start_utt()

    def push(self, pcm: bytes) -> list[EngineDetection]:
        self._decoder.process_raw(pcm, False, False)
        self._pushed_s += len(pcm) / BYTES_PER_S
        hypothesis = self._decoder.hyp()
        if hypothesis is None or hypothesis.hypstr == self._hypothesis:
            return []
        self._hypothesis = hypothesis.hypstr
        segments = list(self._decoder.seg())
        detections = list(self._new(segments))
        if len(segments) >= MAX_LISTED:
            self._restart()
        return detections

    def _new(self, segments: Iterable[Any]) -> Iterable[EngineDetection]:
        for segment in segments:
            label = segment.word.strip()
            start_s, end_s = (self._started_s + at / FRAMES_PER_S for at in (segment.start_frame, segment.end_frame))
            if start_s >= self._reported_to_s.get(label, 0.0):
                self._reported_to_s[label] = end_s
                yield EngineDetection(label, round(self._pushed_s, 3), segment.prob, round(start_s, 3), round(end_s, 3))

    def _restart(self) -> None:
        """The list only grows within an utterance, and each frame searches all of it."""
        self._decoder.end_utt()
        self._decoder.start_utt()
        self._started_s, self._hypothesis = self._pushed_s, ""


def openwakeword_one(threshold: float = 0.5) -> OpenWakeWord:
    """One wake word, the one with the smallest network of them."""
    import openwakeword

    path = openwakeword.models["hey_mycroft"]["model_path"]
    return OpenWakeWord(openwakeword.Model(wakeword_model_paths=[path]), threshold)


def openwakeword_all(threshold: float = 0.5) -> OpenWakeWord:
    """All five, its default."""
    import openwakeword

    return OpenWakeWord(openwakeword.Model(), threshold)


def pocketsphinx(threshold: float = 1e-20) -> PocketSphinx:
    """The eight keywords of our bundled model, with one threshold: the lower, the more it reports."""
    from pocketsphinx import Decoder

    with tempfile.NamedTemporaryFile("w", suffix=".list") as listed:
        listed.writelines(f"{word} /{threshold:g}/\n" for word in KEYWORDS)
        listed.flush()
        return PocketSphinx(Decoder(kws=listed.name, lm=None, loglevel="ERROR"))


ENGINES: dict[str, Callable[..., PeerEngine]] = {
    "rank-coding-kws": RankCoding,
    "openwakeword-one": openwakeword_one,
    "openwakeword-all": openwakeword_all,
    "pocketsphinx": pocketsphinx,
}
