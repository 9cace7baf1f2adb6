"""What was detected against what was said: hits, misses, false alarms, doubles, decision times. Pure.

A hit is a detection from the beginning of its word to GRACE_S after its end, as MLPerf's streaming wake word has it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from training.data.corpus import WordSpan
from training.evaluation.stream_scores import Detected

GRACE_S = 0.5
PERCENTILES = (10, 50, 90)
DRAWS = 2000  # of recordings, for an interval
LONG_PART = 0.6  # share of a word from which on a part of it is a long one


class DetectionMatch(NamedTuple):
    """A detection and the word it belongs to: of a false alarm the one that was being said, if any was."""

    detected: Detected
    kind: Literal["hit", "double", "false"]
    word: WordSpan | None


def match_detections(words: Sequence[WordSpan], detections: Iterable[Detected]) -> list[DetectionMatch]:
    """Each detection, in order of time, against the words [in order of their starts]."""
    starts, ends = (np.array([getattr(word, name) for word in words]) for name in ("start_s", "end_s"))
    taken: set[int] = set()
    verdicts = []
    for detected in detections:
        near = np.flatnonzero((starts <= detected.time_s) & (detected.time_s <= ends + GRACE_S)).tolist()
        own = [i for i in near if words[i].word == detected.label]
        whole = [i for i in own if words[i].kind in ("keyword", "inside")]
        if free := [i for i in whole if i not in taken]:
            taken.add(free[0])
            verdicts.append(DetectionMatch(detected, "hit", words[free[0]]))
        elif whole:
            verdicts.append(DetectionMatch(detected, "double", words[whole[0]]))
        else:
            blamed = (own or near)[-1:]
            verdicts.append(DetectionMatch(detected, "false", words[blamed[0]] if blamed else None))
    return verdicts


def figures(
    words: Sequence[WordSpan], verdicts: Sequence[DetectionMatch], seconds: float, keywords: Sequence[str]
) -> dict[str, Any]:
    """Everything that is counted in a stream; shares of keywords missed, false alarms an hour, times in seconds."""
    said = Counter(word.word for word in words if word.kind == "keyword")
    hits = [v for v in verdicts if v.kind == "hit" and v.word and v.word.kind == "keyword"]
    found = Counter(v.detected.label for v in hits)
    false = Counter(v.detected.label for v in verdicts if v.kind == "false")
    found_inside = sum(v.kind == "hit" and v.word is not None and v.word.kind == "inside" for v in verdicts)
    return {
        "hours": round(seconds / 3600, 3),
        "keywords": said.total(),
        "misses": share(said.total() - found.total(), said.total()),
        "false_alarms_per_hour": round(3600 * false.total() / seconds, 2),
        "doubles": sum(v.kind == "double" for v in verdicts),
        "inside": {"said": sum(word.kind == "inside" for word in words), "found": found_inside},
        "decision": decision_times(hits),
        "labels": {
            label: {
                "keywords": said[label],
                "misses": share(said[label] - found[label], said[label]),
                "false_alarms_per_hour": round(3600 * false[label] / seconds, 2),
                "decision": decision_times([hit for hit in hits if hit.detected.label == label]),
            }
            for label in keywords
        },
    }


def by_recording(words: Sequence[WordSpan], verdicts: Sequence[DetectionMatch], seconds: float) -> dict[str, Any]:
    """How far the false alarms an hour in running speech hang on single recordings, which a long stream repeats.

    The interval holds 95 % of the figures that recordings drawn anew from these would give, repeats together.
    """
    said = [word for word in words if word.kind == "speech"]
    names, which = np.unique([word.word for word in said], return_inverse=True)
    lengths = np.bincount(which, [word.end_s - word.start_s for word in said])
    times = [v.detected.time_s for v in verdicts if v.kind == "false"]
    at = np.searchsorted([word.start_s for word in said], times, side="right") - 1
    alarms = np.bincount(which[at.clip(0)], minlength=len(names))
    drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    rates = 3600 / seconds * alarms[drawn].sum(axis=1) * lengths.sum() / lengths[drawn].sum(axis=1)
    return {
        "recordings": len(names),
        "with_alarms": int(np.count_nonzero(alarms)),
        "interval": [round(float(rate), 1) for rate in np.percentile(rates, (2.5, 97.5))],
    }


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def decision_times(hits: Sequence[DetectionMatch]) -> dict[str, dict[str, float]] | None:
    """Percentiles of the time from the end and from the beginning of the word to its detection."""
    times = [(hit.detected.time_s, hit.word) for hit in hits if hit.word]
    if not times:
        return None
    return {
        "from_end_s": percentiles([time_s - word.end_s for time_s, word in times]),
        "from_start_s": percentiles([time_s - word.start_s for time_s, word in times]),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 3) for p in PERCENTILES}


def prefixes(words: Sequence[WordSpan], verdicts: Sequence[DetectionMatch]) -> dict[str, Any]:
    """What fires without being a keyword: shares of parts and of words that begin alike, and label → what fired it.

    What fired is [times it did, times it was said]; words begin alike that have the first letter of a keyword.
    """
    letters = {word.word[0] for word in words if word.kind == "keyword"}
    groups = {
        "short parts": [w for w in words if w.kind == "part" and w.share < LONG_PART],
        "long parts": [w for w in words if w.kind == "part" and w.share >= LONG_PART],
        "words that begin alike": [w for w in words if w.kind == "other" and w.word[0] in letters],
        "other words": [w for w in words if w.kind == "other" and w.word[0] not in letters],
    }
    fired = {id(v.word) for v in verdicts if v.kind == "false"}
    said = Counter(called(word) for word in words)
    once = {(v.detected.label, id(v.word)): v.word for v in verdicts if v.kind == "false" and v.word}
    by_label: dict[str, dict[str, list[int]]] = {}
    for (label, what), count in Counter((label, called(word)) for (label, _), word in once.items()).most_common():
        by_label.setdefault(label, {})[what] = [count, said[what]]
    return {
        "groups": {
            name: {"said": len(some), "fired": share(sum(id(word) in fired for word in some), len(some))}
            for name, some in groups.items()
        },
        "labels": by_label,
    }


def called(word: WordSpan) -> str:
    """A word as a table names it."""
    if word.kind == "part":
        return f"{'long' if word.share >= LONG_PART else 'short'} part of {word.word}"
    return {"speech": "running speech", "inside": f"{word.word} in running speech"}.get(word.kind, word.word)


def misses_within(
    words: Sequence[WordSpan], verdicts: Sequence[DetectionMatch], begin_s: float, end_s: float
) -> float | None:
    """Share of the keywords said between two times that were missed."""
    said = [word for word in words if word.kind == "keyword" and begin_s <= word.start_s < end_s]
    hit = {id(v.word) for v in verdicts if v.kind == "hit"}
    return share(sum(id(word) not in hit for word in said), len(said))
