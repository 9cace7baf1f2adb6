"""What a stream reports: detections, what becomes of early ones, scores and a summary."""

from dataclasses import dataclass
from typing import ClassVar, Literal


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
class EarlyDetection:
    """A label that may turn out to be detected: one Confirmed or Retracted of the same id follows."""

    type: ClassVar[str] = "detection"

    id: int
    label: str
    score: float
    threshold: float
    crossed: bool
    frame: int
    audio_time_s: float
    status: Literal["early"]


@dataclass(frozen=True)
class Confirmed:
    """An early detection is final from `frame` on."""

    type: ClassVar[str] = "confirmed"
    crossed: ClassVar[bool] = True

    id: int
    label: str
    score: float
    threshold: float
    frame: int
    audio_time_s: float


@dataclass(frozen=True)
class Retracted:
    """An early detection was none, as shown at `frame`; `score` is that of this frame."""

    type: ClassVar[str] = "retracted"

    id: int
    label: str
    score: float
    reason: Literal["fell", "timeout", "verifier"]
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
    detections: int  # without early ones


Decision = Detection | EarlyDetection | Confirmed | Retracted
Event = Decision | Scores
