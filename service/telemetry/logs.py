"""What an operator reads: lines of text, or of JSON, with the fields of the event beside its message.

`log_event("stream ended", session=..., code=...)`. No key and no audio is ever among them.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from uvicorn.logging import DefaultFormatter

log = logging.getLogger("service")


def log_event(message: str, level: int = logging.INFO, cause: BaseException | None = None, **fields: Any) -> None:
    """One line; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    log.log(level, message, exc_info=cause, extra={"fields": known})


class Text(DefaultFormatter):
    """`INFO:     stream ended session=1f... code=1000`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        return " ".join([super().formatMessage(record), *(f"{name}={json.dumps(fields[name])}" for name in fields)])


class Json(logging.Formatter):
    """`{"time": ..., "level": "info", "logger": "service", "message": "stream ended", "session": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class NoAccepts(logging.Filter):
    """uvicorn tells of each stream too, without its session."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).endswith('"WebSocket %s" [accepted]')


def log_config(kind: str) -> dict[str, Any]:
    """For logging.config: everything to stderr, as `text` or `json`."""
    handler = {"class": "logging.StreamHandler", "formatter": kind, "filters": ["no_accepts"]}
    logger = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"no_accepts": {"()": NoAccepts}},
        "formatters": {"text": {"()": Text, "fmt": "%(levelprefix)s %(message)s"}, "json": {"()": Json}},
        "handlers": {"stderr": handler},
        "loggers": {"uvicorn": logger, "service": logger},
    }
