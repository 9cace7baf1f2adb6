"""report.json: everything that was measured of one exported model."""

from dataclasses import dataclass

from training.evaluation.clip_report import ClipReport
from training.evaluation.stream_report import StreamReport
from training.reports.provenance import Provenance


@dataclass(frozen=True)
class ModelReport(ClipReport):
    measured: Provenance
    streams: StreamReport | None = None
