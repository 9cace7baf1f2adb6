"""Events of Wyoming: how they are read, what audio they hold, when it was recorded, and what the server offers."""

import asyncio
import json
from collections import deque
from typing import Any

from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event
from wyoming.info import Attribution, Info, WakeModel, WakeProgram

from service.server.streams.client import ClientGoneError
from service.spotting.config import NOT_JSON, ProtocolError
from service.spotting.metadata import Metadata
from service.spotting.pcm import WIDTHS

PAPER = Attribution("Rank coding (Jeffares et al., ICLR 2022)", "https://arxiv.org/abs/2110.02865")
ENGLISH_DATA = "speech_commands"  # how the description of a model's data begins when its keywords are English
SHOWN = 40  # bytes of what is not an event that its error quotes
MAX_MARKS = 1024  # timestamps kept of a stream; a detection is never that late
TOLERANCE_MS = 1.0  # timestamps are whole milliseconds, and chunks need not be


class EventReader:
    """The events of one connection, none of them longer than `max_bytes`."""

    def __init__(self, reader: asyncio.StreamReader, max_bytes: int) -> None:
        self._reader, self._max_bytes = reader, max_bytes

    async def read(self) -> Event:
        """The next event. Raises ClientGoneError, and ProtocolError for what is not an event."""
        try:
            line = await self._line()
            if not line:
                raise ClientGoneError
            header = _object(line)
            kind, data = header.get("type"), header.get("data", {})
            if not isinstance(kind, str) or not isinstance(data, dict):
                expected = "expected an event with a type and an object as data"
                raise ProtocolError("bad_message", f"{expected}, got {line[:SHOWN]!r}")
            if size := self._size(header, "data_length"):
                data |= _object(await self._reader.readexactly(size))
            size = self._size(header, "payload_length")
            return Event(kind, data, await self._reader.readexactly(size) if size else None)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ClientGoneError from error

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError as error:
            raise ProtocolError("too_big", "event: expected a shorter line of JSON") from error

    def _size(self, header: dict[str, Any], key: str) -> int:
        size = header.get(key) or 0
        if not isinstance(size, int) or size < 0:
            raise ProtocolError("bad_message", f"{key}: expected a number of bytes, got {size!r}")
        if size > self._max_bytes:
            raise ProtocolError("too_big", f"event: expected at most {self._max_bytes} bytes, got {size}")
        return size


class AudioTimeline:
    """When the audio of a stream was recorded, by its client's clock: it goes on from the latest timestamp."""

    def __init__(self, start_ms: int | None) -> None:
        self._marks: deque[tuple[float, float]] = deque([(0.0, start_ms or 0.0)], MAX_MARKS)  # stream s, client ms

    def mark(self, audio_s: float, timestamp_ms: int | None) -> None:
        """The chunk that begins `audio_s` into the stream has this timestamp."""
        start_s, start_ms = self._marks[-1]
        expected_ms = start_ms + 1000 * (audio_s - start_s)
        if timestamp_ms is not None and abs(timestamp_ms - expected_ms) > TOLERANCE_MS:
            self._marks.append((audio_s, timestamp_ms))

    def timestamp_ms(self, audio_time_s: float) -> int:
        """When the sample that ends `audio_time_s` into the stream was recorded."""
        start_s, start_ms = next((mark for mark in reversed(self._marks) if mark[0] < audio_time_s), self._marks[0])
        return round(start_ms + 1000 * (audio_time_s - start_s))


def is_audio(event: Event) -> bool:
    """Whether it belongs to a stream."""
    return bool(AudioStart.is_type(event.type) or AudioChunk.is_type(event.type))


def audio_format(event: Event) -> dict[str, Any]:
    """The settings of a stream of this audio. Raises ProtocolError."""
    if (width := event.data.get("width")) != WIDTHS["pcm_s16le"]:
        raise ProtocolError("bad_value", f"width: expected 2 bytes a sample, got {width!r}")
    return {"sample_rate": event.data.get("rate"), "channels": event.data.get("channels")}


def timestamp_ms(event: Event) -> int | None:
    value = event.data.get("timestamp")
    return value if isinstance(value, int) else None


def describe_wake_words(model: Metadata) -> Info:
    """One wake word program, whose models are the keywords."""
    languages = ["en"] if model.data.startswith(ENGLISH_DATA) else []
    about: dict[str, Any] = {"attribution": PAPER, "installed": True, "version": model.version}
    words = [
        WakeModel(name=word, phrase=word, description=word, languages=languages, **about) for word in model.keywords
    ]
    description = "Keyword spotting that answers while the word is still being spoken"
    return Info(wake=[WakeProgram(name="rank-coding-kws", description=description, models=words, **about)])


def _object(text: bytes) -> dict[str, Any]:
    """Raises ProtocolError for what is not a JSON object."""
    try:
        value = json.loads(text)
    except NOT_JSON as error:
        raise ProtocolError("bad_message", f"expected an event as JSON, got {text[:SHOWN]!r}") from error
    if not isinstance(value, dict):
        raise ProtocolError("bad_message", f"expected an event as a JSON object, got {text[:SHOWN]!r}")
    return value
