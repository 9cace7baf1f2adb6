"""The result for a file that was classified."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from service.spotting.events import Detection
from service.spotting.metadata import FrameScores


@dataclass(frozen=True)
class FileError:
    """Why a file has no answer: a code for programs, a message with expected and got."""

    code: str
    message: str


@dataclass(frozen=True)
class FileResult:
    """The result for one file: an `answer` in mode utterance, `detections` in mode continuous, or an `error`."""

    file: str
    duration_s: float = 0.0
    answer: Detection | None = None
    detections: tuple[Detection, ...] | None = None
    labels: tuple[str, ...] = ()  # labels of the trace
    trace: FrameScores = field(default_factory=lambda: np.zeros((0, 0), np.float32), compare=False)  # where asked for
    error: FileError | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as `POST /v1/classify` answers it (docs/protocol.md)."""
        if self.error:
            return {"file": self.file, "error": asdict(self.error)}
        result: dict[str, Any] = {"file": self.file}
        if self.answer:
            result |= {key: getattr(self.answer, key) for key in ("label", "score", "crossed", "frame")}
            result["decision_time_s"] = self.answer.audio_time_s
        if self.detections is not None:
            result["detections"] = [asdict(detection) for detection in self.detections]
        result["duration_s"] = self.duration_s
        if len(self.trace):
            result["trace"] = dict(zip(self.labels, self.trace.T.tolist(), strict=True))
        return result
