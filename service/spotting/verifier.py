"""The verifier of a model: it judges candidates by the latest audio of their stream, and a decider asks it.

It runs on candidates only, some tens an hour, one at a time: the same audio gives the same answer, whatever else runs.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Pcm, Samples, to_float
from service.spotting.decision import ContinuousDecider, DecisionSettings, Hit
from service.spotting.metadata import Metadata, ModelError

Probabilities = NDArray[np.float32]  # [labels]; 0 for those that are not keywords


class Verifier:
    """Judges windows of audio. Raises ModelError where the graph is not of the contract in docs/model-format.md."""

    def __init__(self, run: Callable[[Samples], NDArray[np.float32]], model: Metadata) -> None:
        """`run` is the graph: audio [batch, samples] to probabilities [batch, keywords]."""
        self._run = run
        self.window = round(model.verifier["window_s"] * model.sample_rate)  # samples
        self._rows = [model.labels.index(keyword) for keyword in model.keywords]
        self._labels = len(model.labels)
        self._probe()

    def judge(self, window: Samples) -> Probabilities:
        """The probability of each label, that a keyword has been spoken in `window`, [window] samples."""
        by_label = np.zeros(self._labels, np.float32)
        by_label[self._rows] = self._run(window[np.newaxis])[0]
        return by_label

    def _probe(self) -> None:
        try:
            probabilities = self._run(np.zeros((2, self.window), np.float32))
        except Exception as error:  # onnxruntime raises many kinds
            raise ModelError(f"verifier: expected to run on audio [2, {self.window}], got: {error}") from error
        if probabilities.shape != (2, len(self._rows)) or not (0 <= probabilities.min() <= probabilities.max() <= 1):
            expected = f"probabilities [2, {len(self._rows)}] from 0 to 1"
            raise ModelError(f"verifier: expected {expected}, got {probabilities.shape}: {probabilities[0].tolist()}")


class Judge(Protocol):
    """What a session asks about its candidates."""

    def __call__(self, frame: int) -> Probabilities:
        """The probability of each label for the audio of the stream up to the end of a frame."""

    def push(self, hops: Pcm) -> None:
        """The next samples of the stream."""

    def forget(self, frames: int) -> None:
        """No frame before that number will be asked about."""

    def reset(self) -> None:
        """The next sample is the first of the stream."""


class AudioTail:
    """The latest audio of a stream, as far back as a window that ends at the first frame without scores."""

    def __init__(self, window: int) -> None:
        self._window = window
        self.reset()

    def reset(self) -> None:
        """The next sample is the first of a stream; silence is before it."""
        self._pieces: deque[Pcm] = deque([np.zeros(self._window, np.float32)])
        self._first = -self._window  # number of the oldest sample that is kept

    def push(self, hops: Pcm) -> None:
        """Add the next samples."""
        self._pieces.append(hops)

    def forget(self, end: int) -> None:
        """No window will be asked for that ends before sample `end`."""
        while self._pieces and self._first + len(self._pieces[0]) <= end - self._window:
            self._first += len(self._pieces.popleft())

    def until(self, end: int) -> Samples:
        """The window before sample `end`."""
        samples = np.concatenate([to_float(piece) for piece in self._pieces])
        start = end - self._window - self._first
        return samples[start : start + self._window]


class StreamJudge:
    """Asks a verifier about the audio of one stream, kept as far back as it may be asked about."""

    def __init__(self, verifier: Verifier, hop: int) -> None:
        """`hop`: samples of a frame."""
        self._verifier, self._hop = verifier, hop
        self._tail = AudioTail(verifier.window)
        self.push, self.reset = self._tail.push, self._tail.reset

    def __call__(self, frame: int) -> Probabilities:
        """The probability of each label for the audio up to the end of a frame."""
        return self._verifier.judge(self._tail.until((frame + 1) * self._hop))

    def forget(self, frames: int) -> None:
        """No frame before that number will be asked about."""
        self._tail.forget(frames * self._hop)


class VerifiedDecider(ContinuousDecider):
    """What a ContinuousDecider would detect is a candidate, and detected if the verifier agrees `verify_after` later.

    A candidate takes the refractory time with it, whatever becomes of it, so which frames the verifier looks at depends
    on the scores alone. Without `verify_thresholds` this is a ContinuousDecider.
    """

    def __init__(self, settings: DecisionSettings, judge: Callable[[int], Probabilities]) -> None:
        """`judge` gives the verifier's probabilities for the audio up to a frame."""
        self._judge = judge
        super().__init__(settings)

    def reset(self) -> None:
        super().reset()
        self._candidates: deque[Hit] = deque()

    def finish(self) -> list[Hit]:
        """After a flush: the verifier looks at the candidates that it would have looked at later."""
        hits = [self._verified(candidate, self.frames - 1) for candidate in self._candidates]
        self._candidates.clear()
        return [hit for hit in hits if hit]

    @property
    def is_idle(self) -> bool:
        """Whether scores below the thresholds change nothing but the count of frames."""
        return super().is_idle and not self._candidates

    def step(self, scores: list[float]) -> Hit | None:
        """Decide on the scores of one frame."""
        frame, hit = self.frames, super().step(scores)
        if self.settings.verify_thresholds is None:  # of this speed
            self._candidates.clear()
            return hit
        self.refused &= self.latched
        if hit:
            self._candidates.append(hit)
        if not self._candidates or frame < self._candidates[0].frame + self.settings.verify_after:
            return None
        return self._verified(self._candidates.popleft(), frame)

    def _verified(self, candidate: Hit, frame: int) -> Hit | None:
        """The hit, if the verifier agrees at `frame`."""
        thresholds = self.settings.verify_thresholds
        if thresholds is not None and self._judge(frame)[candidate.label] < thresholds[candidate.label]:
            self.refused.add(candidate.label)
            return None
        return Hit(frame, candidate.label, candidate.score, True)
