"""What must hold of early detections in any stream of events, and a model whose words are settled in every way."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tests.support.speech import synthesize
from tests.support.tone_model import METADATA

DECIDE_WITHIN_MS = 150.0
EARLY_METADATA = replace(METADATA, confirm_ms={"balanced": 80.0, "accurate": 160.0}, decide_within_ms=DECIDE_WITHIN_MS)
DECISIONS = ("detection", "confirmed", "retracted")


def words_of_any_length(seed: int, count: int = 4) -> Any:
    """Float32 samples of words so short that they are retracted, and of longer ones."""
    rng = np.random.default_rng(seed)
    pieces = [
        synthesize(str(rng.choice(["yes", "no", "_unknown_"])), word_s=float(rng.choice([0.04, 0.06, 0.08, 0.1, 0.3])),
                   gap_s=float(rng.uniform(0.1, 0.4)), seed=seed + index)
        for index in range(count)
    ]  # fmt: skip
    return np.concatenate(pieces)


def decisions(events: Iterable[Any]) -> list[dict[str, Any]]:
    """The decisions among events, of the wire or of a process, without their latency."""
    messages = [dict(event) if isinstance(event, dict) else {"type": event.type, **asdict(event)} for event in events]
    for message in messages:
        message.pop("latency", None)
    return [message for message in messages if message["type"] in DECISIONS]


def check_settled(events: Iterable[dict[str, Any]], within_s: float = DECIDE_WITHIN_MS / 1000) -> list[dict[str, Any]]:
    """Each early detection is settled once, after it and in time; the confirmed ones.

    `events`: all messages of a stream up to its end. Audio time begins again after a `reset`, which none may outlast.
    """
    early: dict[int, dict[str, Any]] = {}
    confirmed = []
    for event in events:
        if event["type"] == "detection":
            assert event["status"] == "early"
            assert event["id"] not in early
            early[event["id"]] = event
        if event["type"] in ("confirmed", "retracted"):
            detection = early.pop(event["id"])
            assert event["label"] == detection["label"]
            assert 0 <= event["audio_time_s"] - detection["audio_time_s"] <= within_s + 1e-9
            assert event["frame"] >= detection["frame"]
        if event["type"] == "confirmed":
            confirmed.append(event)
        if event["type"] in ("ready", "summary"):
            assert not early, "expected these to come after what settles the open ones"
    assert not early
    return confirmed
