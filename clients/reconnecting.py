"""A stream that goes on when its server stops or fails: the same calls and events as clients/connection.py.

Owns the reconnecting. Where a stream breaks off, another is opened with back-off; it is sent again what was not
decided on and two seconds before that, so that no word is lost in between. Times, frames and ids go on, and nothing is
reported twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from clients import connection
from clients.connection import Connection, ConnectionLostError, Event, ServerError, StreamError, encode
from clients.continuation import PROGRESS_MS, Continuation
from clients.flushes import Flushes
from clients.retry import Backoff
from service.spotting.config import ProtocolError, parse_config
from service.spotting.pcm import WIDTHS

UNDECIDED_S = 10.0  # audio that is kept: `send` waits for decisions beyond it, or drops the oldest of a live source
PIECE_S = 1.0  # seconds of audio that are sent at once
STEADY_S = 10.0  # a stream that lasted this long resets the back-off


class ReconnectingConnection:
    """A stream from `connect`; enter it with `async with`. `async for event in stream` gives its events.

    Besides the server's events there are two: `error` with `fatal` false, where a stream broke off or another could not
    be opened, and `reconnected` with seconds of audio: `audio_time_s`, up to where it was decided on when the stream
    broke off, as far as its events showed, `undecided_s`, what was sent beyond that, `resent_s`, what the new stream
    was sent again, and `lost_s`, which no stream decides on.
    Early detections that are open when a stream breaks off are `retracted` with the reason `lost`.

    Attributes:
        ready: the `ready` message of the newest stream: model, config and limits.
    """

    def __init__(self, url: str, config: dict[str, Any], live: bool, backoff: Backoff) -> None:
        self._url, self._config, self._live, self._backoff = url, config, live, backoff
        self._passes_scores = bool(config.get("scores_every_ms"))
        if not self._passes_scores:
            config["scores_every_ms"] = PROGRESS_MS
        wanted, _ = parse_config(config)
        sample_bytes = wanted.channels * WIDTHS[wanted.encoding]
        self._encoding, self._piece = wanted.encoding, round(PIECE_S * wanted.sample_rate) * sample_bytes
        self._continuation, self._flushes = Continuation(wanted.sample_rate, sample_bytes), Flushes()
        self.ready: Event = {}
        self._stream: Connection | None = None  # None while there is none
        self._was_open = self._over = False
        self._lost_s = 0.0
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()  # without a limit: `send` waits for some of them
        self._failure: Exception | None = None
        self._sending, self._progress, self._closing = asyncio.Lock(), asyncio.Event(), asyncio.Event()

    @property
    def undecided_s(self) -> float:
        """Seconds of audio that were sent and not decided on, as far as the events show."""
        return self._continuation.undecided_s

    async def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        """Send audio of any length; without a stream it is kept for the next one.

        Args:
            audio: bytes in the encoding of the stream, or samples that `clients.connection.encode` takes.

        Raises:
            StreamError: the stream is over, and another try is useless.
            ValueError: samples that do not fit the encoding.
        """
        data = audio if isinstance(audio, bytes) else encode(audio, self._encoding)
        for start in range(0, len(data), self._piece):
            await self._send_piece(data[start : start + self._piece])

    async def update(self, **config: object) -> None:
        """Change settings of the stream, and of those that follow; a `ready` event answers.

        Args:
            **config: `keywords`, `threshold`, `speed`, `refractory_s` or `scores_every_ms`.
        """
        if "scores_every_ms" in config:
            self._passes_scores = bool(config["scores_every_ms"])
            config["scores_every_ms"] = config["scores_every_ms"] or PROGRESS_MS
        async with self._sending:
            if "speed" in config:
                self._config.pop("threshold", None)
            self._config |= config
            await self._pass_on(lambda stream: stream.update(**config))

    async def reset(self) -> None:
        """Forget the audio so far: frames and times start from 0."""
        async with self._sending:
            self._continuation.reset()
            await self._pass_on(Connection.reset)

    async def flush(self) -> None:
        """Decide on everything sent so far; the last events and a `summary` follow."""
        async with self._sending:
            self._flushes.ask()
            await self._pass_on(Connection.flush)

    async def keepalive(self) -> None:
        """Keep an idle stream open."""
        async with self._sending:
            await self._pass_on(Connection.keepalive)

    async def close(self) -> None:
        """Flush and close; the last events and a `summary` follow, then no more."""
        async with self._sending:
            self._closing.set()
            await self._pass_on(Connection.close)

    async def leave(self) -> None:
        """Close the socket now; events that the server has not sent yet are lost."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._stream:
            await self._stream.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._events.get()
        if event is not None:
            return event
        self._events.put_nowait(None)  # for the next call
        if self._failure:
            raise self._failure
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        first = None if self._live else await connection.connect(self._url, **self._config)
        if first:
            await self._begin(first)
        self._task = asyncio.create_task(self._run(first))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    # To the server

    async def _send_piece(self, data: bytes) -> None:
        while not self._live and self._continuation.undecided_s > UNDECIDED_S and not self._over:
            self._progress.clear()
            await self._progress.wait()
        if self._over:
            raise self._failure or ServerError("closed", "expected an open stream, got one that has ended")
        async with self._sending:
            self._continuation.sent(data)
            await self._pass_on(lambda stream: stream.send(data))
        if self._live:
            self._lost_s += self._continuation.drop(UNDECIDED_S)

    async def _pass_on(self, request: Callable[[Connection], Awaitable[None]]) -> None:
        if self._stream:
            with suppress(ConnectionLostError):  # the receiving side says why, and opens another
                await request(self._stream)

    # From the server

    async def _run(self, first: Connection | None) -> None:
        """Receive to the end of the last stream."""
        try:
            await self._receive_all(first)
        except Exception as error:  # for the program, when it iterates or sends
            self._failure = error
        self._over = True
        self._progress.set()
        await self._events.put(None)

    async def _receive_all(self, stream: Connection | None) -> None:
        """Raises StreamError where another try is useless."""
        loop = asyncio.get_running_loop()
        stream = stream or await self._open_again(None)
        while True:
            steady_at = loop.time() + STEADY_S
            error = await self._receive(stream)
            self._stream = None
            for event in self._continuation.interrupt():
                await self._events.put(event)
            if error is None:
                return
            if loop.time() > steady_at:
                self._backoff.reset()
            stream = await self._open_again(error)

    async def _receive(self, stream: Connection) -> StreamError | None:
        """Report the events of one stream; the error that ended it, None where the program had asked for the end."""
        summary, is_last = None, False
        try:
            async for event in stream:
                is_last = event["type"] == "summary"
                for reported in self._continuation.receive(event):
                    if is_last and not self._flushes.receive():
                        summary = reported
                    elif reported["type"] != "scores" or self._passes_scores:
                        await self._events.put(reported)
                self.ready = stream.ready
                self._progress.set()
        except StreamError as error:
            self._flushes.interrupt(restarted=is_last)
            await stream.leave()
            return error
        if not self._closing.is_set():
            return ServerError("closed", "expected the stream to stay open, got a closed connection")
        if summary:
            await self._events.put(summary)
        return None

    async def _open_again(self, error: StreamError | None) -> Connection:
        """Another stream after this error, None for the first. Raises StreamError where another try is useless."""
        undecided_s, decided_s = self._continuation.undecided_s, self._continuation.decided_s
        was_open = self._was_open
        while True:
            if error:
                await self._wait(error)
            try:
                stream = await connection.connect(self._url, **self._config)
                resent_s = await self._begin(stream)
                break
            except StreamError as failure:
                error = failure
        times = {"audio_time_s": decided_s, "undecided_s": undecided_s, "resent_s": resent_s, "lost_s": self._lost_s}
        self._lost_s = 0.0
        report = {"type": "reconnected", **{name: round(time_s, 3) for name, time_s in times.items()}}
        await self._events.put(report if was_open else stream.ready)
        return stream

    async def _wait(self, error: StreamError) -> None:
        """Report what happened and wait before another try. Raises the error where that is useless."""
        if not error.retryable and not (error.code == "http_404" and self._was_open):  # 404: a server that restarts
            raise error
        if self._live and self._closing.is_set():
            raise error
        delay_s = self._backoff.next_s(error.retry_after_s)
        message = f"{error.message}; trying again in {round(delay_s, 2):g} s"
        await self._events.put({"type": "error", "code": error.code, "message": message, "fatal": False})
        if not self._live:
            return await asyncio.sleep(delay_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._closing.wait()
                raise error

    async def _begin(self, stream: Connection) -> float:
        """Go on in this stream: send what it has to have again; returns how many seconds. Raises StreamError."""
        async with self._sending:
            audio = self._continuation.begin(stream.ready)
            self.ready, self._was_open = stream.ready, True
            try:
                await stream.send(audio)
                for _ in range(self._flushes.asked):
                    await stream.flush()
                if self._closing.is_set():
                    await stream.close()
            except BaseException:
                await stream.leave()
                raise
            self._stream = stream
        return PIECE_S * len(audio) / self._piece


def connect(
    url: str, *, live: bool = False, backoff: Backoff | None = None, **config: object
) -> ReconnectingConnection:
    """A stream that is opened again when it breaks off; enter it with `async with`.

    Args:
        url: ws:// or wss:// address of the server's stream.
        live: for a source that cannot wait, such as a microphone. `send` then never waits for decisions: while there
            is no stream the newest UNDECIDED_S of audio are kept, the rest is lost. And the first stream too is tried
            until there is one; a `ready` event reports it. Once asked to close it is not tried again.
        backoff: the delays between tries.
        **config: settings of the stream, as for `clients.connection.connect`.

    Returns:
        An object to enter; it gives itself.

    Raises:
        ServerUnreachableError: on entering, no server answers there.
        ServerError: a setting is wrong, or, on entering, the server refuses the stream.
    """
    try:
        return ReconnectingConnection(url, config, live, backoff or Backoff())
    except ProtocolError as error:
        raise ServerError(error.code, str(error)) from error
