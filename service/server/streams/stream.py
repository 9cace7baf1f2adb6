"""One stream from its handshake to its close: messages in, events out, limits kept.

Speaks types only: the adapters of WebSocket and Wyoming know how they travel.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from time import perf_counter
from typing import Any

from websockets.frames import CloseCode

from service.server.state import ServerState
from service.server.streams.client import ClientGoneError, StreamClient
from service.server.streams.endings import SERVER_FAULT, Ending, ending_of, log_end
from service.server.streams.handshake import Handshake, shake_hands
from service.server.streams.limits import ActivityLimits, BacklogLimit, draw_stream_s
from service.server.streams.messages import (
    TIMED,
    VERSION,
    Control,
    ErrorEvent,
    Ready,
    ReadyLimits,
    TimedSummary,
    describe_model,
)
from service.server.streams.send_queue import SendQueue
from service.spotting.audio import Pcm
from service.spotting.config import ConfigWarning, ProtocolError
from service.spotting.engine import InferenceTiming
from service.spotting.events import Confirmed, Detection, Event, Scores
from service.spotting.metadata import FrameScores
from service.spotting.pcm import WIDTHS
from service.spotting.session import Session
from service.telemetry.capture import StreamCapture
from service.telemetry.latency import LatencyTracker
from service.telemetry.logs import log_event
from service.telemetry.metrics import AudioCounter

MAX_PASSED = 100  # frames whose scores were not handed over, before the stream counts them
NO_RUN = InferenceTiming(0.0, 0.0, 0.0, 0)


async def serve(client: StreamClient, server: ServerState) -> None:
    """Serve one client from its handshake to its close."""
    session_id = secrets.token_hex(8)
    settings = server.settings
    activity = ActivityLimits(settings.idle_timeout_s, draw_stream_s(settings.max_stream_s))
    try:
        handshake = await activity.within(shake_hands(client, activity))
        stream = Stream(session_id, client, server, handshake, activity)
    except Exception as error:
        await _refuse(client, server, ending_of(error, session_id), session_id)
    else:
        await stream.run()


async def _refuse(client: StreamClient, server: ServerState, ending: Ending, session_id: str) -> None:
    """End what has not become a stream."""
    with suppress(TimeoutError, ClientGoneError):
        async with asyncio.timeout(server.settings.close_timeout_s):
            if error := ending.error:
                server.metrics.errors.labels(error.code).inc()
                await client.send(ErrorEvent(error.code, str(error), fatal=True))
            if ending.code:
                await client.close(ending.code, error.code if error else "")
    log_end(session_id, ending)


class Stream:
    """The client is read and written at the same time; the first of these to end, or a failure, ends the stream."""

    def __init__(
        self, session_id: str, client: StreamClient, server: ServerState, handshake: Handshake, activity: ActivityLimits
    ) -> None:
        config, settings = handshake.config, server.settings
        self._id, self._client, self._activity, self._settings = session_id, client, activity, settings
        self._metrics, self._message = server.metrics, handshake.message
        self._max_message_bytes = settings.max_message_bytes
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue = SendQueue(settings.max_outgoing, self._fail)
        served = server.models.get(config.model)
        model, sha256 = served.model.metadata, served.model.sha256
        self._session = Session(model, config, served.model.new_judge())
        self._latency = LatencyTracker(model.algorithmic_ms)
        self._model, self._frame_s = describe_model(model, sha256), model.frame_ms / 1000
        self._seconds_per_byte = 1 / (WIDTHS[config.encoding] * config.channels * config.sample_rate)
        self._is_waiting = False  # waiting for the next message, with nothing else to do
        self._audio_counter = AudioCounter(server.metrics)
        self._capture = StreamCapture(server.captures, session_id, model, sha256) if server.captures else None
        self._slot = served.engine.open(self._on_scores, self._on_fault)
        self._backlog = BacklogLimit(self._slot, settings.max_backlog_s, model.sample_rate)
        self._run = NO_RUN  # the latest
        log_event("stream begun", session=session_id, client=client.host, model=model.name, mode=config.mode)
        self._send_ready(handshake.warnings)

    async def run(self) -> None:
        """Serve to the end."""
        ending = Ending()
        receiving = asyncio.create_task(self._receive_loop())
        sending = asyncio.create_task(self._queue.send_all(self._client.send))
        watching = asyncio.create_task(self._activity.watch())
        ends: list[asyncio.Future[Any]] = [receiving, sending, watching, self._failed]
        if self._client.tap:
            self._client.tap.attach(self._receive_directly)
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._detach()
            ending = ending_of(done.pop().exception(), self._id)
            if ending.code == CloseCode.SERVICE_RESTART:
                receiving.cancel()
                ending = await self._decide_on_received(ending)
            await self._say_goodbye(ending, sending)
        finally:
            self._release(ending)
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _decide_on_received(self, ending: Ending) -> Ending:
        """Send the events of the audio that was received, and a summary; another ending where that fails."""
        deciding = asyncio.create_task(self._backlog.wait_until_empty())
        done, _ = await asyncio.wait((deciding, self._failed), return_when=asyncio.FIRST_COMPLETED)
        deciding.cancel()
        if error := done.pop().exception():
            return ending_of(error, self._id)
        self._settle()
        self._send_summary()
        return ending

    async def _say_goodbye(self, ending: Ending, sending: "asyncio.Task[None]") -> None:
        """Send what is queued, then why the stream ends, and close."""
        if ending.code is None:
            return
        self._settle()
        self._queue.end(self._error_event(ending.error, fatal=True) if ending.error else None)
        with suppress(TimeoutError, ClientGoneError):
            async with asyncio.timeout(self._settings.close_timeout_s):
                await sending
                await self._client.close(ending.code, ending.error.code if ending.error else "")

    def _release(self, ending: Ending) -> None:
        """Give the engine's slot back and write the last line of the log."""
        self._detach()
        self._catch_up()
        self._slot.close()
        self._queue.close()
        self._audio_counter.close()
        if self._capture:
            self._capture.close()
        self._metrics.dropped.inc(self._session.outstanding * self._frame_s)
        summary = self._session.summary()
        log_end(self._id, ending, audio_s=round(summary.audio_s, 3), detections=summary.detections)

    def _detach(self) -> None:
        if self._client.tap:
            self._client.tap.detach()

    # From the client

    async def _receive_loop(self) -> None:
        """Returns when the client asked to close. Raises ClientGoneError."""
        message = await self._receive() if self._message is None else self._message
        while await self._act_on(message):
            message = await self._receive()

    async def _receive(self) -> bytes | Control:
        self._is_waiting = True
        try:
            message = await self._client.receive()
        finally:
            self._is_waiting = False
        self._activity.mark_received()
        return message

    async def _act_on(self, message: bytes | Control) -> bool:
        """False when it was the last message."""
        if isinstance(message, Control):
            return await self._act_on_control(message)
        self._process_audio(message)
        await self._backlog.wait_for_room()  # until then TCP holds the client back
        return True

    def _receive_directly(self, data: bytes) -> bool:
        """An AudioCallback."""
        if not self._is_waiting or len(data) > self._max_message_bytes or self._backlog.is_full():
            return False
        self._activity.mark_received()
        try:
            self._process_audio(data)
        except Exception as error:  # as from the receive loop, whatever it is
            self._detach()
            self._fail(error)
        return True

    def _process_audio(self, data: bytes) -> None:
        hops = self._session.push(data)
        self._score(hops)
        received_s = len(data) * self._seconds_per_byte
        self._audio_counter.add(received_s)
        if self._capture:
            self._capture.on_audio(hops, received_s)

    async def _act_on_control(self, control: Control) -> bool:
        if control.type == "configure":
            raise ProtocolError("bad_message", "configure: expected only as the first message, without a query string")
        if control.type == "update":
            await self._backlog.wait_until_empty()  # audio that came before is decided on with the settings it had
            self._settle()
            self._send_ready(self._session.update(control.settings))
        if control.type == "reset":
            self._reset()
        if control.type in ("flush", "close"):
            await self._flush()
        return control.type != "close"

    def _reset(self) -> None:
        self._settle()
        self._session.reset()
        self._latency.reset()
        self._slot.reset()
        if self._capture:
            self._capture.reset()

    def _settle(self) -> None:
        """Retract the early detections that are open, before something else than audio changes the stream."""
        self._catch_up()
        self._slot.level = 0.0
        for event in self._session.settle():
            self._send_event(event)

    async def _flush(self) -> None:
        if spare := self._session.waiting_bytes:
            error = ProtocolError("odd_bytes", f"expected whole samples, got {spare} bytes more; they are dropped")
            self._queue.put(self._error_event(error, fatal=False))
        hops = self._session.flush()
        self._score(hops)
        if self._capture:
            self._capture.on_audio(hops, 0.0)
        await self._backlog.wait_until_empty()
        self._catch_up()
        for event in self._session.finish():
            self._send_event(event)
        self._send_summary()

    # To the engine and back

    def _score(self, hops: Pcm) -> None:
        if len(hops):
            slot = self._slot
            if slot.passed >= MAX_PASSED:
                self._catch_up()
            self._latency.mark_received(self._session.frames_sent, self._activity.received_at, not slot.samples)
            slot.push(hops)

    def _on_scores(self, scores: FrameScores, peak: float, run: InferenceTiming) -> None:
        self._run = run
        self._catch_up()
        for event in self._session.scored(scores, peak):
            self._send_event(event)
        if self._capture:
            self._capture.on_scores(scores, self._session.config)
        took_s = self._latency.record_decision(self._session.frames_scored - 1, perf_counter())
        self._slot.level = 0.0 if self._capture else self._session.level
        if error := self._backlog.mark_scored(took_s):
            self._fail(error)

    def _catch_up(self) -> None:
        """Count the frames whose scores were not handed over."""
        if passed := self._slot.passed:
            self._slot.passed = 0
            self._session.pass_over(passed)

    def _on_fault(self, error: Exception) -> None:
        log_event("the model failed", logging.ERROR, error, session=self._id)
        self._fail(ProtocolError("server_fault", SERVER_FAULT))

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    # To the client

    def _send_ready(self, warnings: list[ConfigWarning]) -> None:
        settings, config = self._settings, self._session.config
        limits = ReadyLimits(settings.max_message_bytes, settings.max_backlog_s, settings.idle_timeout_s)
        self._queue.put(Ready(self._id, VERSION, self._model, config, warnings, limits, settings.chunk_ms))

    def _send_event(self, event: Event) -> None:
        if isinstance(event, Scores):
            self._queue.put(event)
            return
        if isinstance(event, Detection | Confirmed):
            self._metrics.detections.labels(event.label).inc()
            if self._capture:
                self._capture.on_detection(event)
        received_at, run, timed = self._latency.pop_receive_time(event.frame), self._run, TIMED[type(event)]
        self._queue.put_lazy(
            lambda: timed(**vars(event), latency=self._latency.latency(received_at, run, perf_counter()))
        )

    def _send_summary(self) -> None:
        self._queue.put(TimedSummary(**vars(self._session.summary()), latency=self._latency.percentiles()))

    def _error_event(self, error: ProtocolError, fatal: bool) -> ErrorEvent:
        self._metrics.errors.labels(error.code).inc()
        return ErrorEvent(error.code, str(error), fatal)
