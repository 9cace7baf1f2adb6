"""Many streams at once, each at live pace: their detections against those of one stream alone, and how long each took.

Owns the connections and their clocks. Knows nothing of the server's process or of tables.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from clients.connection import Connection, ConnectionLostError, Event, OpeningConnection, connect, encode
from clients.decisions import is_final
from clients.pace import Pace
from clients.shared_connection import connect_shared

SPREAD_S = 2.0  # streams start over this time: microphones do not record the same word at the same moment
ExpectedDetection = tuple[str, int]  # label and frame
StreamOpener = Callable[[int], OpeningConnection]  # from the number of a stream


@dataclass
class LoadTally:
    """The counts of all streams of a load."""

    expected: int = 0
    found: int = 0  # detections at the very frame of a stream alone
    server_ms: list[float] = field(default_factory=list)  # latency of every detection
    lag_ms: list[float] = field(default_factory=list)  # from the last sample of every detection to its event here
    wait_ms: list[float] = field(default_factory=list)  # length of audio, from there to the end of its message
    late_ms: list[float] = field(default_factory=list)  # how far the load itself is behind its pace, at every message
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Expected detections that did not come."""
        return self.expected - self.found


@dataclass(frozen=True)
class Load:
    """`streams` times `audio` (float32 mono at `sample_rate`), a message every `chunk_s`, started over SPREAD_S.

    Every stream has a socket of its own unless there are `shared_sockets`. Where there are `turns`, each as long as
    `audio`, streams play these.
    """

    url: str
    streams: int
    audio: npt.NDArray[np.float32]
    sample_rate: int
    chunk_s: float
    expected: tuple[ExpectedDetection, ...]
    shared_sockets: int = 0
    early: bool = False  # early detections; what is expected are the confirmed ones
    turns: tuple["Turn", ...] = ()


@dataclass(frozen=True)
class Turn:
    """What one stream of a group plays, where streams speak in turn."""

    audio: npt.NDArray[np.float32]
    expected: tuple[ExpectedDetection, ...]


@asynccontextmanager
async def connected(load: Load, tally: LoadTally) -> AsyncIterator[list[Connection]]:
    """The streams of a load, ready; refused ones count as failures."""
    async with opener(load) as open_stream:
        yield await open_all(range(load.streams), open_stream, tally)


async def open_all(numbers: Iterable[int], open_stream: StreamOpener, tally: LoadTally) -> list[Connection]:
    """The streams of these numbers, ready; refused ones count as failures."""
    opened = await asyncio.gather(*map(open_stream, numbers), return_exceptions=True)
    tally.failures.update(str(error) for error in opened if isinstance(error, BaseException))
    return [connection for connection in opened if isinstance(connection, Connection)]


@asynccontextmanager
async def opener(load: Load) -> AsyncIterator[StreamOpener]:
    """How the stream of each number is opened. Neighbours share a socket."""
    async with AsyncExitStack() as stack:
        settings: dict[str, object] = {"sample_rate": load.sample_rate, **({"early": True} if load.early else {})}
        shared = [await stack.enter_async_context(connect_shared(load.url)) for _ in range(load.shared_sockets)]

        def open_stream(number: int) -> OpeningConnection:
            if shared:
                return shared[number * len(shared) // load.streams].open(**settings)
            return connect(load.url, **settings)

        yield open_stream


async def play_all(load: Load, streams: Sequence[Connection], tally: LoadTally) -> None:
    """Play the load to its end; all detections of a stream that fails count as missed."""
    turns = [(replace(load, expected=turn.expected), encode(turn.audio, "pcm_s16le")) for turn in turns_of(load)]
    played = [turns[number % len(turns)] for number in range(load.streams)]
    tally.expected = sum(len(part.expected) for part, _ in played)
    start = asyncio.get_running_loop().time()
    paces = [Pace(start=start + start_s(load, number)) for number in range(len(streams))]
    playing = zip(played, streams, paces, strict=False)  # fewer streams than planned where some were refused
    await asyncio.gather(*(play(part, data, stream, pace, tally) for (part, data), stream, pace in playing))


def turns_of(load: Load) -> tuple[Turn, ...]:
    """What the streams of a load play, in turn."""
    return load.turns or (Turn(load.audio, load.expected),)


async def play(load: Load, data: bytes, connection: Connection, pace: Pace, tally: LoadTally) -> None:
    """One of the streams, from its first audio to its summary."""
    events = list[Event]()
    try:
        async with connection, asyncio.TaskGroup() as tasks:
            tasks.create_task(send(load, data, connection, pace, tally))
            async for event in connection:
                events.append(event)
                if is_final(event):
                    tally.lag_ms.append(pace.lag_ms(event["audio_time_s"]))
                    tally.wait_ms.append(1000 * wait_s(event["audio_time_s"], load.chunk_s))
        count(load, events, tally)
    except Exception as error:  # the other streams go on, whatever happened
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        tally.failures[str(cause)] += 1


def wait_s(audio_time_s: float, chunk_s: float) -> float:
    """How much audio is still to come of the message that holds the sample at this time."""
    return round(-audio_time_s % chunk_s, 6) % chunk_s


def start_s(load: Load, number: int) -> float:
    """When a stream starts. All streams of a shared socket send at the same moments, as a gateway would."""
    delay_s = SPREAD_S * number / load.streams
    if not load.shared_sockets:
        return delay_s
    phase = number * load.shared_sockets // load.streams / load.shared_sockets
    return (delay_s // load.chunk_s + phase) * load.chunk_s


async def send(load: Load, data: bytes, connection: Connection, pace: Pace, tally: LoadTally) -> None:
    """Send at live pace, then close."""
    step = 2 * round(load.chunk_s * load.sample_rate)
    with suppress(ConnectionLostError):  # the receiving side says why
        for start in range(0, len(data), step):
            end_s = min(len(data), start + step) / 2 / load.sample_rate
            await pace.wait(end_s)
            tally.late_ms.append(pace.lag_ms(end_s))
            await connection.send(data[start : start + step])
        await connection.close()


def count(load: Load, events: list[Event], tally: LoadTally) -> None:
    """Add the events of one stream."""
    detections = [event for event in events if is_final(event)]
    placed = Counter((event["label"], event["frame"]) for event in detections)
    tally.found += (placed & Counter(load.expected)).total()
    tally.server_ms += [event["latency"]["server_ms"] for event in detections]
