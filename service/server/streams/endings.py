"""Why a stream ends: the close code, the error that goes with it, and the last line of the log."""

import logging
from dataclasses import dataclass
from typing import Any

from websockets.frames import CloseCode

from service.server.streams.client import ClientGoneError
from service.server.streams.limits import StreamTimeOverError
from service.server.streams.messages import close_code
from service.spotting.audio import AudioError
from service.spotting.config import ProtocolError
from service.telemetry.logs import log_event

SERVER_FAULT = "the server failed; this stream cannot go on"


@dataclass(frozen=True)
class Ending:
    """Why a stream ends, and the code to close with: None when the client is gone."""

    code: CloseCode | None = None
    error: ProtocolError | None = None


def ending_of(error: BaseException | None, session_id: str) -> Ending:
    """How a stream ends that raised this; None is the end that its client asked for."""
    if error is None:
        return Ending(CloseCode.NORMAL_CLOSURE)
    if isinstance(error, StreamTimeOverError):
        return Ending(CloseCode.SERVICE_RESTART)
    if isinstance(error, ClientGoneError):
        return Ending(CloseCode.SERVICE_RESTART if error.code == CloseCode.SERVICE_RESTART else None)
    if isinstance(error, AudioError):
        error = ProtocolError("bad_audio", str(error))
    if not isinstance(error, ProtocolError):
        log_event("a stream failed", logging.ERROR, error, session=session_id)
        error = ProtocolError("server_fault", SERVER_FAULT)
    return Ending(close_code(error), error)


def log_end(session_id: str, ending: Ending, **facts: Any) -> None:
    error = ending.error
    code, reason = ending.code or CloseCode.ABNORMAL_CLOSURE, error and str(error)
    log_event("stream ended", session=session_id, code=code, error=error and error.code, reason=reason, **facts)
