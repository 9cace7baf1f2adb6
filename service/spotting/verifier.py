"""The verifier of a model: a second judge that looks at the latest audio of a candidate, and a decider that asks it.

It runs on candidates only, some tens an hour, one at a time: the same audio gives the same answer, whatever else runs.
"""

from collections import deque
from collections.abc import Callable

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


class VerifiedDecider(ContinuousDecider):
    """A label is a candidate from its threshold on, and detected when the verifier agrees.

    The verifier looks at it every `verify_every` frames, for `decide_within` frames at most. It is no candidate any
    more when its score falls below REARM times its threshold; what was refused is none again before that.
    Without `verify_thresholds` this is a ContinuousDecider.
    """

    def __init__(self, settings: DecisionSettings, judge: Callable[[int], Probabilities]) -> None:
        """`judge` gives the verifier's probabilities for the audio up to a frame."""
        self._judge = judge
        super().__init__(settings)

    def reset(self) -> None:
        super().reset()
        self._candidates: dict[int, int] = {}  # label -> frame in which it became one

    @property
    def is_idle(self) -> bool:
        """Whether scores below the thresholds change nothing but the count of frames."""
        return super().is_idle and not self._candidates

    def step(self, scores: list[float]) -> Hit | None:
        """Decide on the scores of one frame."""
        if self.settings.verify_thresholds is None:  # of this speed
            self._candidates.clear()
            return super().step(scores)
        frame = self.frames
        self.frames += 1
        self._since.clear()
        self._update_candidates(frame, scores)
        due = [label for label, since in self._candidates.items() if self._is_due(frame - since)]
        return self._verify(frame, scores, due) if due else None

    def _update_candidates(self, frame: int, scores: list[float]) -> None:
        levels = self.settings.rearm_levels
        self.latched = {label for label in self.latched if scores[label] >= levels[label]}
        self._candidates = {label: since for label, since in self._candidates.items() if scores[label] >= levels[label]}
        if frame >= self.quiet_until:
            for label, threshold in self.settings.active_thresholds:
                if scores[label] >= threshold and label not in self.latched:
                    self._candidates.setdefault(label, frame)

    def _is_due(self, frames: int) -> bool:
        return frames > 0 and frames % self.settings.verify_every == 0

    def _verify(self, frame: int, scores: list[float], due: list[int]) -> Hit | None:
        """The hit among the candidates that the verifier looks at; what it refuses for the last time is latched."""
        probabilities, thresholds = self._judge(frame), self.settings.verify_thresholds
        agreed = [label for label in due if thresholds is not None and probabilities[label] >= thresholds[label]]
        if agreed:
            label = max(agreed, key=scores.__getitem__)
            self._candidates.clear()
            self.latched.add(label)
            self.quiet_until = frame + 1 + self.settings.refractory
            return Hit(frame, label, scores[label], True)
        for label in due:
            if frame - self._candidates[label] + self.settings.verify_every > self.settings.decide_within:
                del self._candidates[label]
                self.latched.add(label)
        return None
