"""Detections matched to the words that were spoken: hits, duplicates, false alarms. Pure.

A hit is a detection from the beginning of its word to GRACE_S after its end, as in MLPerf's streaming wake word.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from training.data.corpus import WordSpan
from training.evaluation.stream_scores import DetectedWord

GRACE_S = 0.5


class DetectionMatch(NamedTuple):
    """A detection and the word it belongs to; the word of a false alarm is the one being spoken, if there was one."""

    detected: DetectedWord
    kind: Literal["hit", "duplicate", "false"]
    word: WordSpan | None


def match_detections(words: Sequence[WordSpan], detections: Iterable[DetectedWord]) -> list[DetectionMatch]:
    """Each detection, in order of time, against the words [in order of their starts]."""
    starts, ends = (np.array([getattr(word, name) for word in words]) for name in ("start_s", "end_s"))
    taken: set[int] = set()
    matches = []
    for detected in detections:
        near = np.flatnonzero((starts <= detected.time_s) & (detected.time_s <= ends + GRACE_S)).tolist()
        own = [i for i in near if words[i].word == detected.label]
        whole = [i for i in own if words[i].kind in ("keyword", "embedded")]
        if free := [i for i in whole if i not in taken]:
            taken.add(free[0])
            matches.append(DetectionMatch(detected, "hit", words[free[0]]))
        elif whole:
            matches.append(DetectionMatch(detected, "duplicate", words[whole[0]]))
        else:
            blamed = (own or near)[-1:]
            matches.append(DetectionMatch(detected, "false", words[blamed[0]] if blamed else None))
    return matches
