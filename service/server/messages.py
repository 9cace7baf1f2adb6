"""Messages of the protocol, version 1, up and down, and the close codes. What each means is in docs/protocol.md."""

import json
from dataclasses import asdict
from typing import Any

from service.spotting.config import NO_JSON, ProtocolError, ResolvedConfig
from service.spotting.events import Event, Message, Summary
from service.spotting.model import Metadata

VERSION = 1
CONTROLS = ("configure", "update", "reset", "flush", "close", "keepalive")
NORMAL, WRONG_DATA, TOO_BIG, FAULT, DRAINING, OVERLOADED = 1000, 1003, 1009, 1011, 1012, 1013


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
