"""Messages of the wire protocol, version 1: what a client sends, what the server sends, and the close codes.

What each of them means is in docs/protocol.md.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from websockets.frames import CloseCode

from service.spotting.config import NOT_JSON, ConfigWarning, ProtocolError, ResolvedConfig
from service.spotting.events import Confirmed, Decision, Detection, EarlyDetection, Retracted, Scores, Summary
from service.spotting.metadata import Metadata
from service.telemetry.latency import Latency, LatencyPercentiles

VERSION = 1
CONTROLS = ("configure", "update", "reset", "flush", "close", "keepalive")
CLOSE_CODES = {  # by the code of an error; all others close with POLICY_VIOLATION
    "bad_audio": CloseCode.UNSUPPORTED_DATA,
    "overloaded": CloseCode.TRY_AGAIN_LATER,
    "server_fault": CloseCode.INTERNAL_ERROR,
    "too_big": CloseCode.MESSAGE_TOO_BIG,
}
SHOWN = 40  # characters of a bad message that its error quotes


class WrongDataError(ProtocolError):
    """A text message that is not a JSON object."""


def close_code(error: ProtocolError) -> CloseCode:
    """The WebSocket close code that goes with an error."""
    if isinstance(error, WrongDataError):
        return CloseCode.UNSUPPORTED_DATA
    return CLOSE_CODES.get(error.code, CloseCode.POLICY_VIOLATION)


@dataclass(frozen=True)
class Control:
    """A text message of the client: one of CONTROLS, and for `configure` and `update` the settings in it."""

    type: str
    settings: dict[str, Any]


def parse_control(text: str) -> Control:
    """A text message of the client. Raises ProtocolError."""
    return control_of(parse_object(text))


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that a text message is. Raises ProtocolError."""
    try:
        message = json.loads(text)
    except NOT_JSON as error:
        expected = "expected a JSON object (audio goes in binary messages)"
        raise WrongDataError("bad_message", f"{expected}, got {text[:SHOWN]!r}") from error
    if not isinstance(message, dict):
        raise WrongDataError("bad_message", f"expected a JSON object, got {text[:SHOWN]!r}")
    return message


def control_of(message: dict[str, Any]) -> Control:
    """The control that a JSON object is, which is used up. Raises ProtocolError."""
    kind = message.pop("type", None)
    if kind not in CONTROLS:
        raise ProtocolError("bad_message", f"type: expected {', '.join(CONTROLS)}, got {kind!r}")
    return Control(kind, message)


@dataclass(frozen=True)
class ModelDescription:
    """What a client needs to know of a model to read its events."""

    name: str
    version: str
    sha256: str
    labels: tuple[str, ...]
    frame_ms: float
    look_ahead_ms: float


def describe_model(model: Metadata, sha256: str) -> ModelDescription:
    return ModelDescription(model.name, model.version, sha256, model.labels, model.frame_ms, model.look_ahead_ms)


@dataclass(frozen=True)
class ReadyLimits:
    """The limits that a client can keep to."""

    max_message_bytes: int
    max_backlog_s: float
    idle_timeout_s: float


@dataclass(frozen=True)
class Ready:
    """The answer to settings: what was understood."""

    type: ClassVar[str] = "ready"

    session_id: str
    protocol: int
    model: ModelDescription
    config: ResolvedConfig
    warnings: list[ConfigWarning]
    limits: ReadyLimits
    chunk_ms: float  # audio per message that the operator recommends


@dataclass(frozen=True)
class TimedDetection(Detection):
    """A detection at its hand-over to the socket."""

    latency: Latency


@dataclass(frozen=True)
class TimedEarlyDetection(EarlyDetection):
    """An early detection at its hand-over to the socket."""

    latency: Latency


@dataclass(frozen=True)
class TimedConfirmed(Confirmed):
    """A confirmation at its hand-over to the socket."""

    latency: Latency


@dataclass(frozen=True)
class TimedRetracted(Retracted):
    """A retraction at its hand-over to the socket."""

    latency: Latency


@dataclass(frozen=True)
class TimedSummary(Summary):
    """A summary with the latency of the stream."""

    latency: LatencyPercentiles


@dataclass(frozen=True)
class ErrorEvent:
    """What was expected and what came; `fatal` when the stream ends with it."""

    type: ClassVar[str] = "error"

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True)
class Ended:
    """The last event of a stream of a shared socket, in place of a Close frame."""

    type: ClassVar[str] = "ended"

    code: int
    reason: str
    retry_after_s: int | None = None


TimedDecision = TimedDetection | TimedEarlyDetection | TimedConfirmed | TimedRetracted
ServerEvent = Ready | TimedDecision | Scores | TimedSummary | ErrorEvent
TIMED: dict[type[Decision], Callable[..., TimedDecision]] = {
    Detection: TimedDetection,
    EarlyDetection: TimedEarlyDetection,
    Confirmed: TimedConfirmed,
    Retracted: TimedRetracted,
}  # what goes to a client for each decision


def encode(event: ServerEvent | Ended, stream: int | None = None) -> str:
    """The text message of an event; `stream` is the id of its stream on a shared socket."""
    address = {} if stream is None else {"stream": stream}
    return _to_json({"type": event.type, **address, **vars(event)})


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass inside an event, or the settings in `ready`; `early` is in them only when it is true."""
    plain: dict[str, Any] = vars(value)
    if isinstance(value, ResolvedConfig):  # its model has a field of its own
        plain = value.model_dump(exclude={"model"} if value.early else {"model", "early"})
    return plain


_to_json = json.JSONEncoder(separators=(",", ":"), default=_plain).encode  # asdict copies: three times slower
