"""Early detections, each settled by the rule of the chosen speed. Counted in frames, however these are cut."""

import math

from service.spotting.decision import REARM, ContinuousDecider, DecisionSettings, Hit, Status, UtteranceDecider
from service.spotting.metadata import FrameScores


class EarlyDecider:
    """Reports a label when its score reaches the early threshold, and settles that within `decide_within` frames.

    It is confirmed when a ContinuousDecider detects the label, else retracted: when its score falls below REARM times
    the early threshold, when a verifier refuses it, or when the time is over. No early detection of the label follows
    before its score has fallen so far. What the ContinuousDecider detects without one is early and confirmed in the
    same frame: the confirmed detections are those of a stream without early ones. There are none while that keeps
    quiet after a detection.
    """

    answered = False  # never done

    def __init__(self, final: ContinuousDecider) -> None:
        """`final` makes the detections that confirm."""
        self._final = final
        self.settings = final.settings
        self.reset()

    @property
    def settings(self) -> DecisionSettings:
        """What decisions are made by; changed between two frames, after `settle`."""
        return self._final.settings

    @settings.setter
    def settings(self, settings: DecisionSettings) -> None:
        self._final.settings = settings
        thresholds: list[float] = settings.early_reachable.tolist()
        self._active = [(label, threshold) for label, threshold in enumerate(thresholds) if threshold < math.inf]
        self._rearm_levels = [REARM * threshold for threshold in thresholds]

    def reset(self) -> None:
        self._final.reset()
        self._open: dict[int, int] = {}  # label -> frame of its early detection
        self._latched: set[int] = set()  # labels that were settled and whose scores have not fallen far enough since
        self._scores: list[float] = []  # of the latest frame that was looked at

    def push(self, scores: FrameScores, peak: float = 1.0) -> list[Hit]:
        """Decide on `scores` [frames, labels]: early detections and what settles them, in the order of frames.

        No label that may be an answer has a score above `peak`.
        """
        idle = self._final.is_idle and not self._open and not self._latched
        if idle and (peak < self.settings.lowest or not (scores >= self.settings.early_reachable).any()):
            self._final.frames += len(scores)  # nothing can happen: nearly always
            return []
        return [hit for row in scores.tolist() for hit in self._step(row)]

    @property
    def level(self) -> float:
        """Scores below it change nothing but the count of frames, by `pass_over`."""
        return self._final.level if not self._open and not self._latched else 0.0

    def pass_over(self, frames: int) -> None:
        """The next frames have scores below `level`."""
        self._final.pass_over(frames)

    def settle(self) -> list[Hit]:
        """Retract what is open, as no more frames are waited for."""
        return [self._retract(label, self._final.frames - 1, "timeout") for label in list(self._open)]

    def finish(self) -> list[Hit]:
        """After a flush: confirm what is detected then, and retract the rest."""
        return [event for hit in self._final.finish() for event in self._confirm(hit)] + self.settle()

    def _step(self, scores: list[float]) -> list[Hit]:
        frame = self._final.frames
        self._scores = scores
        final = self._final.step(scores)
        if self._latched:
            self._latched = {label for label in self._latched if not self._has_fallen(label)}
        hits = self._retract_due(frame, final) if self._open else []
        if final:
            return hits + self._confirm(final)
        return hits + self._detect(frame, scores) if frame >= self._final.quiet_until else hits

    def _retract_due(self, frame: int, final: Hit | None) -> list[Hit]:
        """Retract what has fallen, was refused or was not confirmed in time."""
        due = [
            (label, reason)
            for label, since in self._open.items()
            if (final is None or label != final.label) and (reason := self._reason(label, frame - since))
        ]
        return [self._retract(label, frame, reason) for label, reason in due]

    def _reason(self, label: int, frames: int) -> Status | None:
        """Why an early detection of `frames` frames ago is retracted now, if it is."""
        if self._has_fallen(label):
            return "fell"
        if label in self._final.refused:
            return "verifier"
        return "timeout" if frames >= self.settings.decide_within else None

    def _detect(self, frame: int, scores: list[float]) -> list[Hit]:
        """The early detection of a frame, if it has one: that of the highest score."""
        reached = [label for label, threshold in self._active if scores[label] >= threshold and self._is_armed(label)]
        if not reached:
            return []
        label = max(reached, key=scores.__getitem__)
        self._open[label] = frame
        return [Hit(frame, label, scores[label], True, "early")]

    def _is_armed(self, label: int) -> bool:
        return label not in self._open and label not in self._latched and label not in self._final.latched

    def _confirm(self, hit: Hit) -> list[Hit]:
        early = self._open.pop(hit.label, None)
        self._latched.add(hit.label)
        confirmed = Hit(hit.frame, hit.label, hit.score, True, "confirmed")
        return [confirmed] if early is not None else [Hit(hit.frame, hit.label, hit.score, True, "early"), confirmed]

    def _retract(self, label: int, frame: int, reason: Status) -> Hit:
        del self._open[label]
        if not self._has_fallen(label):
            self._latched.add(label)
        return Hit(frame, label, self._scores[label], True, reason)

    def _has_fallen(self, label: int) -> bool:
        return self._scores[label] < self._rearm_levels[label]


Decider = UtteranceDecider | ContinuousDecider | EarlyDecider
