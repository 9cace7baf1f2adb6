"""What is measured of a model on continuous audio, as it stands in report.json. Reads older reports too."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator

from training.data.endpoint_agreement import EndpointSummary
from training.evaluation.early import EarlyMetrics
from training.evaluation.stream_metrics import DetectionMetrics, PrefixMetrics
from training.records import Record


@dataclass(frozen=True)
class MissesOverTime(Record):
    hours: float  # length of either span
    first: float | None
    last: float | None


@dataclass(frozen=True)
class StreamMeasurement(Record):
    """Each stream at some settings; for mixed utterances also what fires too early, and misses at start and end."""

    streams: dict[str, DetectionMetrics]
    prefixes: PrefixMetrics | None = None
    first_and_last_misses: MissesOverTime | None = None


def flat_before(field: str, *beside: str) -> BeforeValidator:
    """Reads older reports, whose streams lie `beside` other keys instead of in `field`."""

    def nest(values: Any) -> Any:
        if not isinstance(values, dict) or field in values:
            return values
        return {name: values[name] for name in beside if name in values} | {
            field: {name: value for name, value in values.items() if name not in beside}
        }

    return BeforeValidator(nest)


Measured = Annotated[StreamMeasurement, flat_before("streams", "prefixes", "first_and_last_misses")]


@dataclass(frozen=True)
class StreamOperatingPoint(Record):
    thresholds: dict[str, float]
    measured: Measured


@dataclass(frozen=True)
class ErrorRates(Record):
    misses: float | None
    false_alarms_per_hour: float


@dataclass(frozen=True)
class SweptStream(Record):
    misses: float | None
    false_alarms_per_hour: float
    labels: dict[str, ErrorRates]


@dataclass(frozen=True)
class SweepPoint(Record):
    """Every stream at thresholds that are scaled alike."""

    scale: float
    thresholds: dict[str, float]
    streams: dict[str, SweptStream]


@dataclass(frozen=True)
class StreamData(Record):
    """What the streams are composed of."""

    split: str
    keyword_clips: int
    other_clips: int
    speech_minutes: float
    speech_speakers: int
    noise_minutes: float
    rooms: int


@dataclass(frozen=True)
class StreamFigures(Record):
    seed: int
    confirm_ms: dict[str, float]
    speeds: dict[str, Measured]
    operating_points: dict[str, Annotated[StreamOperatingPoint, flat_before("measured", "thresholds")]]
    det: list[Annotated[SweepPoint, flat_before("streams", "scale", "thresholds")]]
    early: dict[str, dict[str, EarlyMetrics]] | None = field(default=None, kw_only=True)  # speed -> stream


@dataclass(frozen=True)
class StreamReport(StreamFigures):
    data: StreamData
    endpoints: dict[str, dict[str, EndpointSummary]]  # way -> side of the word
