"""Scores to labels, counted in frames: one decider for each mode. However the frames are cut, the hits are the same."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.spotting.metadata import FrameScores

REARM = 0.5  # a label may be detected again once its score has been below this part of its threshold


@dataclass(frozen=True)
class DecisionSettings:
    """What a decision is made by; every array has one entry per label."""

    thresholds: NDArray[np.float32]
    allowed: NDArray[np.bool_]  # the labels that may be an answer
    other_label: int | None = None  # utterance: the label that stands for all that are not allowed ("_unknown_")
    refractory: int = 0  # continuous: frames after a hit without another
    confirm: int = 0  # continuous: frames that a score must have been at its threshold or above
    early_thresholds: NDArray[np.float32] | None = None  # continuous: of early detections; None where there are none
    decide_within: int = 1  # continuous: frames in which an early detection is settled, at least 1
    verify_thresholds: NDArray[np.float32] | None = None  # continuous: of the verifier; None where it judges nothing
    verify_after: int = 0  # continuous: frames from a candidate to the verifier's look at it

    @cached_property
    def reachable(self) -> NDArray[np.float32]:
        """The thresholds of labels that may be an answer; infinity for the others."""
        return np.where(self.allowed, self.thresholds, np.float32(np.inf))

    @cached_property
    def lowest(self) -> float:
        """The lowest threshold, early ones too, of a label that may be an answer."""
        return float(min(self.reachable.min(), self.early_reachable.min()))

    @cached_property
    def early_reachable(self) -> NDArray[np.float32]:
        """The same of early detections, at most those of `reachable`."""
        if self.early_thresholds is None:
            return self.reachable
        return np.where(self.allowed, np.minimum(self.early_thresholds, self.thresholds), np.float32(np.inf))

    @cached_property
    def rearm_levels(self) -> list[float]:
        """For each label the score below which it may be detected again."""
        return [REARM * threshold for threshold in self.thresholds.tolist()]

    @cached_property
    def active_thresholds(self) -> list[tuple[int, float]]:
        """The number and the threshold of each label that may be an answer."""
        return [(label, float(self.thresholds[label])) for label in self.allowed.nonzero()[0].tolist()]


Status = Literal["final", "early", "confirmed", "fell", "timeout", "verifier"]  # the last three: why it is retracted


@dataclass(frozen=True)
class Hit:
    """A decision for a label."""

    frame: int  # counted from the last reset
    label: int
    score: float
    crossed: bool
    status: Status = "final"


class UtteranceDecider:
    """Rank coding: the first label to reach its threshold is the answer, once, until `reset`."""

    level = 0.0  # the last scores are the answer if no others are

    def __init__(self, settings: DecisionSettings) -> None:
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        self.answered = False
        self._frames = 0
        self._last: FrameScores | None = None

    def push(self, scores: FrameScores, peak: float = 1.0) -> list[Hit]:
        """Decide on `scores` [frames, labels]; of labels that cross in the same frame the highest score wins."""
        start = self._frames
        self._frames += len(scores)
        if self.answered or not len(scores):
            return []
        scores = self._fold_excluded(scores)
        self._last = scores[-1]
        crossed = (scores >= self.settings.thresholds).any(axis=1)
        if not crossed.any():
            return []
        frame = int(crossed.argmax())
        label = int(np.where(scores[frame] >= self.settings.thresholds, scores[frame], -1).argmax())
        return [self._answer(start + frame, label, scores[frame], True)]

    def pass_over(self, frames: int) -> None:
        """There are no scores below `level`."""
        self._frames += frames

    def finish(self) -> list[Hit]:
        """Without a crossing in all the audio, the best label at its end is the answer."""
        if self.answered or self._last is None:
            return []
        return [self._answer(self._frames - 1, int(self._last.argmax()), self._last, False)]

    def _fold_excluded(self, scores: FrameScores) -> FrameScores:
        """A label that may not be the answer leaves its probability to the label that stands for the others."""
        if self.settings.allowed.all():
            return scores
        admitted = np.where(self.settings.allowed, scores, -1)
        if self.settings.other_label is not None:
            admitted[:, self.settings.other_label] += scores[:, ~self.settings.allowed].sum(axis=1)
        return admitted

    def _answer(self, frame: int, label: int, scores: FrameScores, crossed: bool) -> Hit:
        self.answered = True
        return Hit(frame, label, float(scores[label]), crossed)


class ContinuousDecider:
    """An endless stream: a label is detected `confirm` frames after its score has reached its threshold, if it stays.

    It is not detected again before its score has fallen below REARM times the threshold. After any hit `refractory`
    frames pass without another; a label that is still at its threshold when they are over is detected then.
    """

    answered = False  # never done

    def __init__(self, settings: DecisionSettings) -> None:
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        self.frames = 0  # decided on since the last reset
        self.quiet_until = 0  # the first frame after the refractory time
        self.latched: set[int] = set()  # labels whose scores have not fallen far enough since their detection
        self.refused: set[int] = set()  # those of them that a verifier has refused
        self._since: dict[int, int] = {}  # label -> first frame of those in which it has been at its threshold or above

    def push(self, scores: FrameScores, peak: float = 1.0) -> list[Hit]:
        """Decide on `scores` [frames, labels]; one frame makes at most one hit, that of the highest score.

        No label that may be an answer has a score above `peak`.
        """
        if self.is_idle and (peak < self.settings.lowest or not (scores >= self.settings.reachable).any()):
            self.frames += len(scores)  # nothing can happen: nearly always
            return []
        return [hit for row in scores.tolist() if (hit := self.step(row))]  # an array is slower for so few

    def finish(self) -> list[Hit]:
        return []

    @property
    def level(self) -> float:
        """Scores below it change nothing but the count of frames, by `pass_over`."""
        return self.settings.lowest if self.is_idle else 0.0

    def pass_over(self, frames: int) -> None:
        """The next frames have scores below `level`."""
        self.frames += frames

    @property
    def is_idle(self) -> bool:
        """Whether scores below the thresholds change nothing but the count of frames."""
        return not self.latched and not self._since

    def step(self, scores: list[float]) -> Hit | None:
        """Decide on the scores of one frame."""
        frame = self.frames
        self.frames += 1
        if self.latched:
            rearm_levels = self.settings.rearm_levels
            self.latched = {label for label in self.latched if scores[label] >= rearm_levels[label]}
        since: dict[int, int] = {}
        for label, threshold in self.settings.active_thresholds:  # a comprehension takes longer, with so few in it
            if scores[label] >= threshold:
                since[label] = self._since.get(label, frame)
        self._since = since
        if not since or frame < self.quiet_until:
            return None
        latest = frame - self.settings.confirm
        ready = [label for label, first in since.items() if first <= latest and label not in self.latched]
        if not ready:
            return None
        label = max(ready, key=scores.__getitem__)
        self.latched.add(label)
        self.quiet_until = frame + 1 + self.settings.refractory
        return Hit(frame, label, scores[label], True)
