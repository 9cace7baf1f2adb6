"""The wire contract, version 1: settings, messages up and down, PCM bytes to samples. No I/O.

What each field means is written in docs/protocol.md; where the two disagree, the code is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.audio import MAX_RATE, MIN_RATE, Samples, mono, refuse_no_audio
from service.model import DEFAULT_SPEED, Metadata

VERSION = 1
UPDATABLE = ("keywords", "threshold", "speed", "refractory_s", "scores_every_ms")
CONTROLS = ("configure", "update", "reset", "flush", "close", "keepalive")
NORMAL, WRONG_DATA, POLICY, TOO_BIG, FAULT, DRAINING, OVERLOADED = 1000, 1003, 1008, 1009, 1011, 1012, 1013

NO_JSON = (ValueError, RecursionError)  # of json.loads: bad text, numbers of thousands of digits, endless nesting

Message = dict[str, Any]


class ProtocolError(ValueError):
    """The client broke the contract: `code` for programs, a message with expected and got, and the close code."""

    def __init__(self, code: str, message: str, close: int = POLICY) -> None:
        super().__init__(message)
        self.code, self.close = code, close


def _split(value: Any) -> Any:
    return [word for word in value.split(",") if word] if isinstance(value, str) else value


def _parse_object(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except NO_JSON:
        return value


Threshold = Annotated[float, Field(gt=0, le=1)]


class StreamConfig(BaseModel):
    """Settings of a stream; None means "from the model". A field's description is what its error says was expected."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    model: str | None = Field(None, description="a name from /v1/models")
    sample_rate: int = Field(16000, ge=MIN_RATE, le=MAX_RATE, description=f"{MIN_RATE} to {MAX_RATE}")
    encoding: Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw"] = Field(
        "pcm_s16le", description="pcm_s16le, pcm_f32le or pcm_mulaw"
    )
    channels: Annotated[int, Field(ge=1, le=2)] = Field(1, description="1 or 2")
    mode: Literal["continuous", "utterance"] = Field("continuous", description="continuous or utterance")
    keywords: Annotated[tuple[str, ...] | None, BeforeValidator(_split)] = Field(
        None, min_length=1, description="a list of the model's keywords"
    )
    speed: str = Field(DEFAULT_SPEED, description="a speed of the model")
    threshold: Annotated[Threshold | dict[str, Threshold] | None, BeforeValidator(_parse_object)] = Field(
        None, description="a number above 0, at most 1, or an object of such numbers per label"
    )
    refractory_s: float | None = Field(None, ge=0, le=60, description="0 to 60")
    scores_every_ms: float = Field(0, ge=0, le=60000, description="0 to 60000")

    def resolved(self, model: Metadata) -> "ResolvedConfig":
        """The same with every None filled in for `model`. Raises ProtocolError for what that model does not have."""
        keywords = model.keywords if self.keywords is None else self.keywords
        _expect_among("keywords", keywords, model.keywords)
        _expect_among("speed", [self.speed], model.speeds)
        asked = self.threshold if isinstance(self.threshold, dict) else {}
        _expect_among("threshold", asked, model.labels)
        thresholds = {**model.speeds[self.speed][self.mode], **asked}
        if isinstance(self.threshold, float):
            thresholds = dict.fromkeys(model.labels, self.threshold)
        refractory_s = model.refractory_s if self.refractory_s is None else self.refractory_s
        filled = {"model": model.name, "keywords": keywords, "threshold": thresholds, "refractory_s": refractory_s}
        return ResolvedConfig.model_construct(**{**dict(self), **filled})

    def updated(self, changes: Mapping[str, Any]) -> tuple["StreamConfig", list[Message]]:
        """Apply an `update`; a `speed` without a `threshold` puts an earlier threshold out of force."""
        if fixed := [key for key in changes if key in StreamConfig.model_fields and key not in UPDATABLE]:
            raise ProtocolError("bad_value", f"update: expected some of {', '.join(UPDATABLE)}, got {fixed[0]}")
        before = self.model_dump(exclude={"threshold"} if "speed" in changes else None)
        return parse_config({**before, **changes})


class ResolvedConfig(StreamConfig):
    """Settings of a stream of a known model: what `ready` echoes."""

    model: str
    keywords: tuple[str, ...]
    threshold: dict[str, float]  # label -> threshold, every label of the model
    refractory_s: float


def _expect_among(key: str, values: Any, allowed: Any) -> None:
    for value in values:
        if value not in allowed:
            raise ProtocolError("bad_value", f"{key}: expected among {', '.join(allowed)}, got {value!r}")


def parse_config(values: Mapping[str, Any]) -> tuple[StreamConfig, list[Message]]:
    """Settings from a query string or a message, and a warning for every unknown key.

    Raises ProtocolError for a wrong value.
    """
    known = {key: value for key, value in values.items() if key in StreamConfig.model_fields}
    warnings = [{"code": "unknown_key", "key": key} for key in values if key not in known]
    try:
        return StreamConfig(**known), warnings
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        expected = StreamConfig.model_fields[key].description
        raise ProtocolError("bad_value", f"{key}: expected {expected}, got {known[key]!r}") from error


def parse_control(text: str) -> Message:
    """A text message of the client: a JSON object whose `type` is one of CONTROLS. Raises ProtocolError."""
    try:
        message = json.loads(text)
    except NO_JSON as error:
        raise ProtocolError(
            "bad_message", f"expected a JSON object (audio goes in binary messages), got {text[:40]!r}", WRONG_DATA
        ) from error
    if not isinstance(message, dict):
        raise ProtocolError("bad_message", f"expected a JSON object, got {text[:40]!r}", WRONG_DATA)
    if message.get("type") not in CONTROLS:
        raise ProtocolError("bad_message", f"type: expected {', '.join(CONTROLS)}, got {message.get('type')!r}")
    return message


def _mulaw_table() -> Samples:
    """G.711: the sample of each of the 256 codes."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    return (np.where(code & 128, -magnitude, magnitude) / 32768).astype(np.float32)


MULAW = _mulaw_table()
WIDTHS = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1}  # bytes a sample


class PcmDecoder:
    """PCM bytes, cut anywhere, to float32 mono samples at full scale 1; bytes short of a whole sample wait.

    Raises BadAudio for floats that are no audio.
    """

    def __init__(self, encoding: str, channels: int) -> None:
        self._encoding, self._channels = encoding, channels
        self._width = WIDTHS[encoding] * channels
        self._waiting = b""

    def push(self, data: bytes) -> Samples:
        data = self._waiting + data if self._waiting else data
        whole = len(data) - len(data) % self._width
        self._waiting = data[whole:]
        samples = mono(self._samples(data[:whole]).reshape(-1, self._channels))
        return refuse_no_audio(samples) if self._encoding == "pcm_f32le" else samples

    @property
    def waiting(self) -> int:
        """How many bytes wait for the rest of their sample."""
        return len(self._waiting)

    def reset(self) -> None:
        self._waiting = b""

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        if self._encoding == "pcm_s16le":
            return np.frombuffer(data, "<i2") * np.float32(1 / 32768)
        if self._encoding == "pcm_f32le":
            return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
        return MULAW[np.frombuffer(data, np.uint8)]


@dataclass(frozen=True)
class Detection:
    """A label heard: at `frame`, whose newest sample is `audio_time_s` into the stream."""

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

    frame: int
    audio_time_s: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """What a stream has come to since it opened or was last reset."""

    audio_s: float
    frames: int
    detections: int


Event = Detection | Scores


def event_message(event: Event | Summary, **more: Any) -> Message:
    return {"type": type(event).__name__.lower(), **asdict(event), **more}


def error_message(code: str, message: str, fatal: bool = True) -> Message:
    return {"type": "error", "code": code, "message": message, "fatal": fatal}


def model_message(model: Metadata, sha256: str) -> Message:
    return {
        "name": model.name,
        "version": model.version,
        "sha256": sha256,
        "labels": model.labels,
        "frame_ms": model.frame_ms,
        "look_ahead_ms": model.look_ahead_ms,
    }


def ready_message(
    session_id: str, model: Message, config: ResolvedConfig, warnings: list[Message], limits: Message
) -> Message:
    return {
        "type": "ready",
        "session_id": session_id,
        "protocol": VERSION,
        "model": model,
        "config": config.model_dump(exclude={"model"}),
        "warnings": warnings,
        "limits": limits,
    }
