"""What a stream reports: detections, scores and a summary."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Detection:
    """A label detected at `frame`, whose newest sample is `audio_time_s` into the stream."""

    type: ClassVar[str] = "detection"

    id: int
    label: str
    score: float
    threshold: float
    crossed: bool  # False: no output reached its threshold, this is the best one at the end
    frame: int
    audio_time_s: float


@dataclass(frozen=True)
class Scores:
    """The scores of one frame, label -> probability."""

    type: ClassVar[str] = "scores"

    frame: int
    audio_time_s: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """Totals of a stream since it opened or was last reset."""

    type: ClassVar[str] = "summary"

    audio_s: float
    frames: int
    detections: int


Event = Detection | Scores
