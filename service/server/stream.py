"""One WebSocket stream: its socket, its session and its place in the engine. Messages in, events out, limits held."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from starlette.websockets import WebSocketDisconnect

from service.server import messages
from service.server.model_registry import ServedModel
from service.server.send_queue import SendQueue
from service.server.state import ServerState
from service.spotting.audio import AudioError, Samples
from service.spotting.config import ProtocolError, parse_config
from service.spotting.engine import EngineSlot, InferenceTiming
from service.spotting.events import Detection, Event, Message
from service.spotting.pcm import WIDTHS
from service.spotting.session import Session
from service.telemetry.capture import StreamCapture
from service.telemetry.latency import LatencyTracker
from service.telemetry.logs import log_event

GONE = 1006  # in the log, of a client that left without a close

AUDIO = "rc.audio"  # extension of the ASGI scope: a dict in which a stream leaves a Take under "take"
Take = Callable[[bytes], bool]  # hears one binary message at once, or returns False: it has to wait its turn


class Socket(Protocol):
    """What a stream needs of its client's side: starlette's WebSocket, or one that speaks otherwise as that does."""

    @property
    def query_params(self) -> Mapping[str, Any]: ...

    @property
    def client(self) -> Any: ...  # with its `host`, or None

    async def accept(self, subprotocol: str | None = None) -> None: ...

    async def receive(self) -> MutableMapping[str, Any]: ...

    async def send_text(self, data: str) -> None: ...

    async def close(self, code: int = messages.NORMAL, reason: str | None = None) -> None: ...


class Connection:
    """The client is heard and told at once; the first of these to end, or a failure, ends the stream."""

    _begun = False  # the settings are known, and with them:
    _session: Session
    _served: ServedModel
    _stream: EngineSlot
    _ledger: LatencyTracker
    _model: Message
    _run: InferenceTiming  # the latest

    def __init__(self, socket: Socket, server: ServerState, audio: dict[str, Take] | None = None) -> None:
        """`audio`: the server's extension AUDIO, where it has it."""
        self._socket, self._server = socket, server
        self._audio = {} if audio is None else audio
        self._limits, self._metrics = server.settings, server.metrics
        self._outbox = SendQueue(self._limits.max_outgoing, self._fail)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._progress = asyncio.Event()  # scores came back
        self._heard_at = perf_counter()
        self._waiting = False  # for the next message, with nothing else to do
        self._id = secrets.token_hex(8)

    async def run(self) -> None:
        await self._socket.accept()
        code, error = None, None
        telling = asyncio.create_task(self._outbox.send_all(self._socket.send_text))
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(self._hear()), telling, self._failed]
        ends.append(asyncio.create_task(self._idle()))
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            code, error = _outcome(done.pop(), self._id)
            await self._leave(code, error, telling)
        finally:
            self._audio.clear()
            self._end(code, error)
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _leave(self, code: int | None, error: ProtocolError | None, telling: "asyncio.Task[None]") -> None:
        """Tell what is still to be told, then why the stream ends, and close."""
        if code is None:
            return
        self._outbox.end(self._error(error.code, str(error), fatal=True) if error else None)
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(self._limits.close_timeout_s):
                await telling
                await self._socket.close(code, error.code if error else "")

    def _end(self, code: int | None, error: ProtocolError | None) -> None:
        """Give back what the stream had; the log gets its last line."""
        said: Message = {"code": code or GONE, "error": error and error.code, "reason": error and str(error)}
        if self._begun:
            self._served.close(self._stream)
            if self._capture:
                self._capture.close()
            self._metrics.dropped.inc(self._session.outstanding * self._model["frame_ms"] / 1000)
            summary = self._session.summary()
            said |= {"audio_s": round(summary.audio_s, 3), "detections": summary.detections}
        log_event("stream ended", session=self._id, **said)

    # Hearing the client

    async def _hear(self) -> int | None:
        """Returns the code to close with; None when the client has gone."""
        try:
            settings: Mapping[str, Any] = self._socket.query_params
            message = None if settings else await self._next()
            if message and (configure := _configure(message)) is not None:
                settings, message = configure, None
            self._begin(settings)
            while await self._take(message or await self._next()):
                message = None
            return messages.NORMAL
        except WebSocketDisconnect as gone:
            if gone.code != messages.DRAINING:
                return None
            if self._begun:
                await self._scored_but(0)
                self._summary()
            return messages.DRAINING

    async def _next(self) -> Message:
        self._waiting = self._begun
        message = dict(await self._socket.receive())
        self._waiting = False
        self._heard_at = perf_counter()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        size = len(message.get("bytes") or (message.get("text") or "").encode())
        limit = self._limits.max_message_bytes
        if size > limit:
            raise ProtocolError("too_big", f"message: expected at most {limit} bytes, got {size}", messages.TOO_BIG)
        return message

    def _begin(self, settings: Mapping[str, Any]) -> None:
        config, warnings = parse_config(settings)
        served = self._server.models.get(config.model)
        metadata = served.model.metadata
        self._session = Session(metadata, config)
        self._served, self._stream = served, served.open(self._on_scores, self._on_fault)
        self._ledger = LatencyTracker(metadata.algorithmic_ms)
        self._model = messages.model_message(metadata, served.model.sha256)
        captures = self._server.captures
        self._capture = captures and StreamCapture(captures, self._id, metadata, served.model.sha256)
        self._max_backlog = self._limits.max_backlog_s * 1000 / metadata.frame_ms  # frames
        self._seconds_a_byte = 1 / (WIDTHS[config.encoding] * config.channels * config.sample_rate)
        self._begun = True
        self._audio["take"] = self._take_now
        client = self._socket.client and self._socket.client.host
        log_event("stream begun", session=self._id, client=client, model=metadata.name, mode=config.mode)
        self._ready(warnings)

    async def _take(self, message: Message) -> bool:
        """Act on one message; False when it is the last."""
        data = message.get("bytes")
        if data is None:
            return await self._control(messages.parse_control(message["text"]))
        self._hear_audio(data)
        await self._scored_but(self._max_backlog)  # until there is room, TCP holds the client back
        return True

    def _take_now(self, data: bytes) -> bool:
        """A Take."""
        if not self._waiting or self._session.outstanding > self._max_backlog:
            return False
        if len(data) > self._limits.max_message_bytes:
            return False
        self._heard_at = perf_counter()
        try:
            self._hear_audio(data)
        except Exception as error:  # as from `_hear`, whatever it is
            self._audio.clear()
            self._fail(error)
        return True

    def _hear_audio(self, data: bytes) -> None:
        self._metrics.audio.inc(len(data) * self._seconds_a_byte)
        self._score(self._session.push(data))

    async def _control(self, message: Message) -> bool:
        kind: str = message.pop("type")
        if kind == "configure":
            raise ProtocolError("bad_message", "configure: expected only as the first message, without a query string")
        if kind == "update":
            await self._scored_but(0)  # what was sent before is decided on as it was
            self._ready(self._session.update(message))
        if kind == "reset":
            self._session.reset()
            self._ledger.reset()
            self._stream.reset()
            if self._capture:
                self._capture.reset()
        if kind in ("flush", "close"):
            await self._flush()
        return kind != "close"

    async def _flush(self) -> None:
        if spare := self._session.waiting_bytes:
            message = f"expected whole samples, got {spare} bytes more; they are dropped"
            self._outbox.put(self._error("odd_bytes", message, fatal=False))
        self._score(self._session.flush())
        await self._scored_but(0)
        for event in self._session.finish():
            self._event(event)
        self._summary()

    async def _scored_but(self, frames: float) -> None:
        """Wait until no more than so many frames wait for their scores."""
        if self._session.outstanding <= frames:
            return
        try:
            async with asyncio.timeout(self._limits.max_backlog_s):
                while self._session.outstanding > frames:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            raise self._overloaded() from None

    async def _idle(self) -> None:
        limit = self._limits.idle_timeout_s
        try:
            async with asyncio.timeout(self._limits.max_stream_s):
                while (left := self._heard_at + limit - perf_counter()) > 0:
                    await asyncio.sleep(left)
        except TimeoutError:
            most = self._limits.max_stream_s
            raise ProtocolError("time_limit", f"expected a stream of at most {most:g} s, it lasts longer") from None
        raise ProtocolError("idle_timeout", f"expected a message within {limit:g} s, got none")

    # Scores from the engine

    def _score(self, hops: Samples) -> None:
        if len(hops):
            self._ledger.arrived(self._session.sent, self._heard_at)
            self._stream.push(hops)
            if self._capture:
                self._capture.on_audio(hops)

    def _on_scores(self, scores: Samples, run: InferenceTiming) -> None:
        self._run = run
        for event in self._session.scored(scores):
            self._event(event)
        if self._capture:
            self._capture.on_scores(scores, self._session.config)
        arrived = self._ledger.pop_receive_time(self._session.frames_scored - 1)
        took = perf_counter() - arrived
        self._ledger.decided(took)
        self._progress.set()
        if took > self._limits.max_backlog_s:
            self._fail(self._overloaded())

    def _on_fault(self, error: Exception) -> None:
        log_event("the model failed", logging.ERROR, error, session=self._id)
        self._fail(_fault())

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _overloaded(self) -> ProtocolError:
        limit = self._limits.max_backlog_s
        return ProtocolError(
            "overloaded", f"expected to decide on audio within {limit:g} s, it took longer", messages.OVERLOADED
        )

    # Telling the client

    def _ready(self, warnings: list[Message]) -> None:
        limits = self._limits.model_dump(include={"max_message_bytes", "max_backlog_s", "idle_timeout_s"})
        self._outbox.put(messages.ready_message(self._id, self._model, self._session.config, warnings, limits))

    def _event(self, event: Event) -> None:
        if isinstance(event, Detection):
            self._metrics.detections.labels(event.label).inc()
            if self._capture:
                self._capture.on_detection(event)
            arrived, run, latency = self._ledger.pop_receive_time(event.frame), self._run, self._ledger.latency
            self._outbox.put_lazy(lambda: messages.event_message(event, latency=latency(arrived, run, perf_counter())))
        else:
            self._outbox.put(messages.event_message(event))

    def _summary(self) -> None:
        self._outbox.put(messages.event_message(self._session.summary(), latency=self._ledger.percentiles()))

    def _error(self, code: str, message: str, fatal: bool) -> Message:
        self._metrics.errors.labels(code).inc()
        return messages.error_message(code, message, fatal)


def _configure(message: Message) -> Message | None:
    """The settings in a first message that is a `configure`."""
    if message.get("text") is None:
        return None
    control = messages.parse_control(message["text"])
    return control if control.pop("type") == "configure" else None


def _fault() -> ProtocolError:
    return ProtocolError("server_fault", "the server failed; this stream cannot go on", messages.FAULT)


def _outcome(end: "asyncio.Future[int | None]", session: str) -> tuple[int | None, ProtocolError | None]:
    """The code to close with (None: the client has gone) and the error to tell."""
    try:
        return end.result(), None
    except ProtocolError as error:
        return error.close, error
    except AudioError as error:
        return messages.WRONG_DATA, ProtocolError("bad_audio", str(error), messages.WRONG_DATA)
    except WebSocketDisconnect:
        return None, None
    except Exception as error:
        log_event("a stream failed", logging.ERROR, error, session=session)
        return messages.FAULT, _fault()
