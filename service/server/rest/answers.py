"""The JSON answers of the REST routes, as /openapi.json describes them. What each field means: docs/protocol.md."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Refuses fields that it does not describe, so that none is dropped in silence; clients must accept new ones."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"additionalProperties": True})


class HealthAnswer(Answer):
    alive: bool


class ReadinessAnswer(Answer):
    ready: bool = Field(description="false while starting or draining")


class ErrorDetail(Answer):
    code: str = Field(description="for programs", examples=["bad_value"])
    message: str = Field(
        description="what was expected and what came", examples=["trace: expected true or false, got 'x'"]
    )


class ErrorAnswer(Answer):
    error: ErrorDetail


class ModelAnswer(Answer):
    name: str = Field(examples=["speech-commands-rc"])
    version: str
    sha256: str
    labels: list[str] = Field(description="order of the scores")
    keywords: list[str] = Field(description="labels that may be detections")
    frame_ms: float = Field(description="audio per frame of scores")
    look_ahead_ms: float = Field(description="audio after a frame that its scores wait for")
    speeds: dict[str, dict[str, dict[str, float]]] = Field(description="speed, mode, label: threshold")
    decide_within_ms: float = Field(description="audio after an early detection in which it is settled")
    default: bool = Field(description="whether requests without a model get this one")


class ModelDetailAnswer(ModelAnswer):
    evaluation: dict[str, Any] | None = Field(description="the report of its evaluation, where there is one")
    curve: list[dict[str, float]] = Field(description="accuracy against decision time, per threshold")


class ModelListAnswer(Answer):
    models: list[ModelAnswer]


class FileAnswer(Answer):
    """What every result has."""

    file: str = Field(examples=["yes.wav"])


class UtteranceAnswer(FileAnswer):
    """One file in mode `utterance`."""

    label: str = Field(examples=["yes"])
    score: float
    crossed: bool = Field(description="false: no label reached its threshold, this is the best one at the end")
    frame: int
    decision_time_s: float = Field(description="audio that the decision needed, look-ahead included")
    duration_s: float
    trace: dict[str, list[float]] | None = Field(None, description="label: score of every frame, where asked for")


class DetectionAnswer(Answer):
    """One detection in a file."""

    id: int
    label: str
    score: float
    threshold: float
    crossed: bool
    frame: int
    audio_time_s: float


class ContinuousAnswer(FileAnswer):
    """One file in mode `continuous`."""

    detections: list[DetectionAnswer]
    duration_s: float
    trace: dict[str, list[float]] | None = Field(None, description="label: score of every frame, where asked for")


class FileErrorAnswer(FileAnswer):
    """One file that could not be classified."""

    error: ErrorDetail


class WarningAnswer(Answer):
    code: str = Field(examples=["unknown_key"])
    key: str = Field(examples=["treshold"])


class ClassifyAnswer(Answer):
    """A result per file, in the order of the files; `warnings` only where there are some."""

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": True,
            "example": {
                "model": "speech-commands-rc",
                "results": [
                    {
                        "file": "yes.wav",
                        "label": "yes",
                        "score": 0.97,
                        "crossed": True,
                        "frame": 41,
                        "decision_time_s": 0.625,
                        "duration_s": 1.0,
                    },
                    {"file": "notes.txt", "error": {"code": "bad_audio", "message": "expected ..., got ..."}},
                ],
            },
        }
    )

    model: str
    results: list[UtteranceAnswer | ContinuousAnswer | FileErrorAnswer]
    warnings: list[WarningAnswer] | None = None
