"""Scores to labels, counted in frames: the two rules. Pure; however the frames are cut, the hits are the same."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

REARM = 0.5  # a label may be heard again once its score has been below this part of its threshold


@dataclass(frozen=True)
class DecisionSettings:
    """What a decision is made by; every array has one entry a label."""

    thresholds: NDArray[np.float32]
    allowed: NDArray[np.bool_]  # the labels that may be an answer
    rest: int | None = None  # utterance: the label that stands for all that is not allowed ("_unknown_")
    refractory: int = 0  # continuous: frames after a hit without another
    confirm: int = 0  # continuous: frames that a score must have stood at its threshold or above

    @cached_property
    def active_thresholds(self) -> list[tuple[int, float]]:
        """Of each label that may be an answer: its number and what its score must reach."""
        return [(label, float(self.thresholds[label])) for label in self.allowed.nonzero()[0].tolist()]


@dataclass(frozen=True)
class Hit:
    frame: int  # counted from the last reset
    label: int
    score: float
    crossed: bool


class UtteranceDecider:
    """Rank coding: the first label to reach its threshold is the answer, once, until `reset`."""

    def __init__(self, rule: DecisionSettings) -> None:
        self.rule = rule
        self.reset()

    def reset(self) -> None:
        self.answered = False
        self._frames = 0
        self._last: NDArray[np.float32] | None = None

    def push(self, scores: NDArray[np.float32]) -> list[Hit]:
        """Decide on `scores` [frames, labels]; of labels that cross in the same frame the highest score wins."""
        start = self._frames
        self._frames += len(scores)
        if self.answered or not len(scores):
            return []
        scores = self._fold_excluded(scores)
        self._last = scores[-1]
        crossed = (scores >= self.rule.thresholds).any(axis=1)
        if not crossed.any():
            return []
        frame = int(crossed.argmax())
        label = int(np.where(scores[frame] >= self.rule.thresholds, scores[frame], -1).argmax())
        return [self._answer(start + frame, label, scores[frame], True)]

    def finish(self) -> list[Hit]:
        """The audio is over: without a crossing, the best label at its end is the answer."""
        if self.answered or self._last is None:
            return []
        return [self._answer(self._frames - 1, int(self._last.argmax()), self._last, False)]

    def _fold_excluded(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """A label that may not be the answer leaves its probability to the label that stands for the rest."""
        if self.rule.allowed.all():
            return scores
        admitted = np.where(self.rule.allowed, scores, -1)
        if self.rule.rest is not None:
            admitted[:, self.rule.rest] += scores[:, ~self.rule.allowed].sum(axis=1)
        return admitted

    def _answer(self, frame: int, label: int, scores: NDArray[np.float32], crossed: bool) -> Hit:
        self.answered = True
        return Hit(frame, label, float(scores[label]), crossed)


class ContinuousDecider:
    """An endless stream: a label is heard when its score reaches its threshold, or `confirm` frames after, if it stays.

    It is not heard again before its score has fallen below REARM times the threshold. After any hit `refractory`
    frames pass without another; a label that still stands above its threshold when they are over is heard then.
    """

    answered = False  # never done

    def __init__(self, rule: DecisionSettings) -> None:
        self.rule = rule
        self.reset()

    def reset(self) -> None:
        self._frames = 0
        self._quiet_until = 0
        self._heard: set[int] = set()  # labels that have not fallen far enough since they were heard
        self._since: dict[int, int] = {}  # label -> frame from which on it has stood at its threshold or above

    def push(self, scores: NDArray[np.float32]) -> list[Hit]:
        """Decide on `scores` [frames, labels]; one frame makes at most one hit, that of the highest score."""
        return [hit for row in scores.tolist() if (hit := self._step(row))]  # plain numbers: so few are no array's work

    def finish(self) -> list[Hit]:
        return []

    def _step(self, scores: list[float]) -> Hit | None:
        frame = self._frames
        self._frames += 1
        if self._heard:
            self._heard = {label for label in self._heard if scores[label] >= REARM * self.rule.thresholds[label]}
        self._since = {
            label: self._since.get(label, frame) for label, bar in self.rule.active_thresholds if scores[label] >= bar
        }
        latest = frame - self.rule.confirm
        ready = [label for label, since in self._since.items() if since <= latest and label not in self._heard]
        if not ready or frame < self._quiet_until:
            return None
        label = max(ready, key=scores.__getitem__)
        self._heard.add(label)
        self._quiet_until = frame + 1 + self.rule.refractory
        return Hit(frame, label, scores[label], True)


Decision = UtteranceDecider | ContinuousDecider
