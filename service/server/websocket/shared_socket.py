"""One socket that many streams share: each message to its stream, the events of all streams back."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import CloseCode

from service.server.state import ServerState
from service.server.streams.client import AudioTap, ClientGoneError
from service.server.streams.endings import Ending, ending_of, log_end
from service.server.streams.limits import ActivityLimits
from service.server.streams.messages import Control, Ended, ErrorEvent, control_of, encode, parse_object
from service.server.streams.stream import serve
from service.server.websocket.audio_blocks import MAX_ID, AudioBlock, split_blocks
from service.server.websocket.client_adapter import AUDIO_TAP
from service.server.websocket.shared_client import SharedClient
from service.spotting.config import ProtocolError
from service.telemetry.logs import log_event

MAX_WAITING_MESSAGES = 16  # messages of the longest size: audio of one stream that may wait


async def serve_shared_socket(socket: WebSocket, server: ServerState) -> None:
    """Accept a handshake and serve the socket's streams."""
    try:
        await socket.accept()
    except WebSocketDisconnect:
        return  # before it was accepted
    await SharedSocket(socket, server).run()


class SharedSocket:
    """Streams are opened, fed and ended one apart from the other; the socket outlives them."""

    def __init__(self, socket: WebSocket, server: ServerState) -> None:
        self._id = secrets.token_hex(8)
        self._socket, self._server = socket, server
        self._max_bytes = server.settings.max_message_bytes
        self._tap: AudioTap | None = (socket.scope.get("extensions") or {}).get(AUDIO_TAP)
        self._activity = ActivityLimits(server.settings.idle_timeout_s)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._streams: dict[int, SharedClient] = {}
        self._places: dict[SharedClient, ExitStack] = {}  # places in the count of streams
        self._serving: set[asyncio.Task[None]] = set()
        self._is_waiting = False  # waiting for the next message, with nothing else to do
        self._gone: ClientGoneError | None = None  # once a stream could not send
        self._sending = 0  # events that the client has not taken
        self._all_sent = asyncio.Event()

    async def run(self) -> None:
        """Serve to the end of the socket."""
        log_event("socket opened", socket=self._id, client=self._host)
        ending = Ending()
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(self._receive_loop()), self._failed]
        ends.append(asyncio.create_task(self._watch_idle()))
        if self._tap:
            self._tap.attach(self._receive_directly)
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._detach()
            ending = ending_of(done.pop().exception(), self._id)
            await self._end_streams(ending)
            await self._say_goodbye(ending)
        finally:
            self._detach()
            for end in (tasks := [*ends, *self._serving]):
                end.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            log_end(self._id, ending)

    async def _end_streams(self, ending: Ending) -> None:
        """Let every stream send what it owes its client, if there still is one."""
        code = CloseCode.SERVICE_RESTART if ending.code == CloseCode.SERVICE_RESTART else CloseCode.ABNORMAL_CLOSURE
        for client in self._streams.values():
            client.fail(ClientGoneError(code))
        if self._serving:
            await asyncio.wait(self._serving)

    async def _say_goodbye(self, ending: Ending) -> None:
        """Send why the socket is closed, and close it."""
        if ending.code is None:
            return
        with suppress(TimeoutError, ClientGoneError, WebSocketDisconnect):
            async with asyncio.timeout(self._server.settings.close_timeout_s):
                if ending.error:
                    await self._report(ending.error, fatal=True)
                await self._socket.close(ending.code, ending.error.code if ending.error else "")

    def _detach(self) -> None:
        if self._tap:
            self._tap.detach()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    @property
    def _host(self) -> str | None:
        return self._socket.client.host if self._socket.client else None

    async def _watch_idle(self) -> NoReturn:
        """Raises ProtocolError when there is no stream and no message for too long."""
        while True:
            try:
                await self._activity.watch()
            except ProtocolError:
                if not self._streams:
                    raise
                self._activity.mark_received()  # the streams have time limits of their own

    # From the client

    async def _receive_loop(self) -> NoReturn:
        """Raises ClientGoneError."""
        while True:
            self._is_waiting = True
            message = await self._socket.receive()
            self._is_waiting = False
            if message["type"] == "websocket.disconnect":
                raise ClientGoneError(message["code"])
            while self._sending:  # a client that takes no events is not read
                self._all_sent.clear()
                await self._all_sent.wait()
            try:
                await self._act_on(message)
            except ProtocolError as error:
                await self._report(error, fatal=False)

    async def _act_on(self, message: Any) -> None:
        """Raises ProtocolError for a message of no stream."""
        audio: bytes | None = message.get("bytes")
        size = len(message["text"].encode() if audio is None else audio)
        if size > self._max_bytes:
            raise ProtocolError("too_big", f"message: expected at most {self._max_bytes} bytes, got {size}")
        if audio is None:
            await self._act_on_text(parse_object(message["text"]))
        else:
            await self._pass_on(split_blocks(audio))

    async def _act_on_text(self, message: dict[str, Any]) -> None:
        self._activity.mark_received()
        if message.get("type") == "keepalive" and "stream" not in message:
            return
        stream = _stream_of(message)
        if client := self._streams.get(stream):
            try:
                client.put(control_of(message))
            except ProtocolError as error:
                client.fail(error)
        elif message.get("type") == "configure":
            await self._open(stream, control_of(message))
        else:
            await self._report_unknown(stream)

    def _receive_directly(self, data: bytes) -> bool:
        """An AudioCallback: takes audio of open streams, all else goes the long way."""
        if not self._is_waiting or self._sending or len(data) > self._max_bytes:
            return False
        try:
            blocks = [(self._streams[stream], audio) for stream, audio in split_blocks(data)]
        except (ProtocolError, KeyError):
            return False
        for client, audio in blocks:
            client.offer(audio)
        return True

    async def _pass_on(self, blocks: Sequence[AudioBlock]) -> None:
        unknown = None
        for stream, audio in blocks:
            if client := self._streams.get(stream):
                client.offer(audio)
            else:
                unknown = stream
        if unknown is not None:  # one error per message, however many blocks it has
            await self._report_unknown(unknown)

    # Streams

    async def _open(self, stream: int, configure: Control) -> None:
        if reason := self._server.refusal():
            retry_after_s = self._server.settings.retry_after_s
            message = f"expected a server with room for a stream, got {reason}; try again in {retry_after_s} s"
            await self._report(ProtocolError(reason, message), fatal=True, stream=stream)
            await self._send(encode(Ended(CloseCode.TRY_AGAIN_LATER, reason, retry_after_s), stream))
            return
        max_bytes = MAX_WAITING_MESSAGES * self._max_bytes
        client = self._streams[stream] = SharedClient(stream, self._host, max_bytes, self._send, self._free)
        self._places[client] = ExitStack()
        self._places[client].enter_context(self._server.stream())
        client.put(Control("configure", {**self._socket.query_params, **configure.settings}))
        task = asyncio.create_task(self._serve(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: SharedClient) -> None:
        """One stream from its `configure` to its end."""
        try:
            await serve(client, self._server)
        except Exception as error:  # the other streams go on, whatever it is
            ending = ending_of(error, self._id)
            await client.close(CloseCode.INTERNAL_ERROR, ending.error.code if ending.error else "")
        finally:
            self._free(client)
            if not client.ended:
                slow = ProtocolError("slow_reader", "expected messages to be read, got a client that takes none")
                self._fail(self._gone or slow)

    def _free(self, client: SharedClient) -> None:
        """Give the id and the place of a stream back."""
        if place := self._places.pop(client, None):
            place.close()
            del self._streams[client.stream]
            self._activity.mark_received()

    # To the client

    async def _report_unknown(self, stream: int) -> None:
        error = ProtocolError("unknown_stream", f"stream {stream}: expected one that is open, or configure")
        await self._report(error, fatal=False, stream=stream)

    async def _report(self, error: ProtocolError, fatal: bool, stream: int | None = None) -> None:
        self._server.metrics.errors.labels(error.code).inc()
        await self._send(encode(ErrorEvent(error.code, str(error), fatal), stream))

    async def _send(self, text: str) -> None:
        """Raises ClientGoneError."""
        if self._gone:
            raise self._gone
        self._sending += 1
        try:
            await self._socket.send_text(text)
        except WebSocketDisconnect as gone:
            self._gone = ClientGoneError(gone.code)
            raise self._gone from gone
        finally:
            self._sending -= 1
            self._all_sent.set()


def _stream_of(message: dict[str, Any]) -> int:
    """The id in a text message, which is taken out of it. Raises ProtocolError."""
    stream = message.pop("stream", None)
    if type(stream) is not int or not 0 <= stream <= MAX_ID:
        raise ProtocolError("bad_message", f"stream: expected an id of 0 to {MAX_ID}, got {stream!r}")
    return stream
