"""Settings of a stream: what a client may ask for, and the same filled in for a model.

What each field means is written in docs/protocol.md; where the two disagree, the code is wrong.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.spotting.audio import MAX_RATE, MIN_RATE, SAMPLE_RATE
from service.spotting.metadata import DEFAULT_SPEED, EARLY_SPEED, Metadata

UPDATABLE = ("keywords", "threshold", "speed", "refractory_s", "scores_every_ms")
NOT_JSON = (ValueError, RecursionError)  # json.loads: bad text, numbers of thousands of digits, endless nesting


class ProtocolError(ValueError):
    """The client broke the contract: `code` for programs, and a message with expected and got."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ConfigWarning:
    """Something about the settings that does not keep the stream from its work."""

    code: str
    key: str


def _split(value: Any) -> Any:
    return [word for word in value.split(",") if word] if isinstance(value, str) else value


def _parse_object(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except NOT_JSON:
        return value


Threshold = Annotated[float, Field(gt=0, le=1)]


class StreamConfig(BaseModel):
    """Settings of a stream; None means "from the model". A field's description is what its error says was expected."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    model: str | None = Field(None, description="a name from /v1/models")
    sample_rate: int = Field(SAMPLE_RATE, ge=MIN_RATE, le=MAX_RATE, description=f"{MIN_RATE} to {MAX_RATE}")
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
    early: bool = Field(False, description="true or false")

    def resolved(self, model: Metadata) -> "ResolvedConfig":
        """The same with every None filled in for `model`. Raises ProtocolError for what that model does not have."""
        keywords = model.keywords if self.keywords is None else self.keywords
        _expect_among("keywords", keywords, model.keywords)
        _expect_among("speed", [self.speed], model.speeds)
        self._check_early(model)
        asked = self.threshold if isinstance(self.threshold, dict) else {}
        _expect_among("threshold", asked, model.labels)
        thresholds = {**model.speeds[self.speed][self.mode], **asked}
        if isinstance(self.threshold, float):
            thresholds = dict.fromkeys(model.labels, self.threshold)
        refractory_s = model.refractory_s if self.refractory_s is None else self.refractory_s
        filled = {"model": model.name, "keywords": keywords, "threshold": thresholds, "refractory_s": refractory_s}
        return ResolvedConfig.model_construct(**{**dict(self), **filled})

    def _check_early(self, model: Metadata) -> None:
        if self.early and self.mode != "continuous":
            raise ProtocolError("bad_value", f"early: expected the mode continuous, got {self.mode}")
        if self.early and EARLY_SPEED not in model.speeds:
            expected = f"expected a model with the speed {EARLY_SPEED!r}"
            raise ProtocolError("bad_value", f"early: {expected}, got one with {', '.join(model.speeds)}")

    def updated(self, changes: Mapping[str, Any]) -> tuple["StreamConfig", list[ConfigWarning]]:
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


def _expect_among(key: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    for value in values:
        if value not in allowed:
            raise ProtocolError("bad_value", f"{key}: expected among {', '.join(allowed)}, got {value!r}")


def parse_config(values: Mapping[str, Any]) -> tuple[StreamConfig, list[ConfigWarning]]:
    """Settings from a query string or a message, and a warning for every unknown key.

    Raises ProtocolError for a wrong value.
    """
    known = {key: value for key, value in values.items() if key in StreamConfig.model_fields}
    warnings = [ConfigWarning("unknown_key", key) for key in values if key not in known]
    try:
        return StreamConfig(**known), warnings
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        expected = StreamConfig.model_fields[key].description
        raise ProtocolError("bad_value", f"{key}: expected {expected}, got {known[key]!r}") from error
