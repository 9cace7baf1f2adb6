"""What an operator reads: lines of text, or of JSON, with the fields of the event beside its message.

`log_event("stream ended", session=..., code=...)`. No key and no audio is ever among them.
"""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from uvicorn.logging import DefaultFormatter

log = logging.getLogger("service")

STDERR = 2  # file descriptor
CHATTY = ("python_multipart",)  # loggers with a line per malformed request: any client could fill the log


def log_event(message: str, level: int = logging.INFO, cause: BaseException | None = None, **fields: Any) -> None:
    """Log one line; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    log.log(level, message, exc_info=cause, extra={"fields": known})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class TextFormatter(DefaultFormatter):
    """`2026-11-27T23:20:36.123+00:00 INFO:     stream ended session="1f..." code=1000`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (of logging)
        fields = getattr(record, "fields", {})
        line = f"{_time(record)} {super().formatMessage(record)}"
        return " ".join([line, *(f"{name}={json.dumps(fields[name])}" for name in fields)])


class JsonFormatter(logging.Formatter):
    """`{"time": ..., "level": "info", "logger": "service", "message": "stream ended", "session": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class HandshakeFilter(logging.Filter):
    """Drops two of uvicorn's lines: per accepted stream, where ours has the session; an error per denied handshake."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).endswith(('"WebSocket %s" [accepted]', "returned without completing handshake."))


def log_config(kind: str) -> dict[str, Any]:
    """For logging.config: everything to stderr, as `text` or `json`."""
    handler = {"class": "logging.StreamHandler", "formatter": kind, "filters": ["handshakes"]}
    logger = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    text = {"()": TextFormatter, "fmt": "%(levelprefix)s %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"handshakes": {"()": HandshakeFilter}},
        "formatters": {"text": text, "json": {"()": JsonFormatter}},
        "handlers": {"stderr": handler},
        "loggers": {"uvicorn": logger, "service": logger, **{name: {"level": "ERROR"} for name in CHATTY}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},  # libraries
    }


def open_closed_stderr() -> None:
    """Where the caller closed stderr, open it to nowhere: else the next file or socket would get its descriptor."""
    if sys.stderr is None:
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < STDERR:
            pass  # standard input and output are closed too
        sys.stderr = os.fdopen(descriptor, "w", buffering=1)


@contextmanager
def stderr_as_log() -> Iterator[None]:
    """Log each line that C libraries (libmpg123, onnxruntime) write to stderr themselves, while the block lasts.

    `sys.stderr`, and with it the log, goes to the real one. Worker processes have this descriptor as their stderr:
    their own lines of JSON are passed on as they are. Begin it before the log is configured.
    """
    logging.captureWarnings(True)
    real, (read_end, write_end) = os.dup(STDERR), os.pipe()
    python_stderr = sys.stderr
    with os.fdopen(real, "w", buffering=1) as stream:
        sys.stderr = stream
        os.dup2(write_end, STDERR)
        os.close(write_end)
        thread = threading.Thread(target=_log_lines, args=(read_end, real), name="stderr", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.dup2(real, STDERR)  # the pipe's last write end, once workers have ended: the thread ends
            thread.join(timeout=1)
            sys.stderr = python_stderr


def _log_lines(source: int, real_stderr: int) -> None:
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if line.startswith(b'{"time":'):  # a line of a worker's log
                os.write(real_stderr, line)
            elif text := line.decode(errors="replace").strip():
                logging.getLogger("stderr").warning("%s", text)
