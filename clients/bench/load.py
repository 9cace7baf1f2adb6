"""Many streams at once, each at live pace: their detections against those of one stream alone, and how long each took.

Owns the connections and their clocks. Knows nothing of the server's process or of tables.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clients.connection import Connection, Event, connect, encode
from clients.pace import Pace

SPREAD_S = 2.0  # streams start over this time: microphones do not record the same word at the same moment
ExpectedDetection = tuple[str, int]  # label and frame


@dataclass
class LoadTally:
    """The counts of all streams of a load."""

    expected: int = 0
    found: int = 0  # detections at the very frame of a stream alone
    server_ms: list[float] = field(default_factory=list)  # latency of every detection
    late_ms: list[float] = field(default_factory=list)  # how far the load itself is behind its pace, at every message
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Expected detections that did not come."""
        return self.expected - self.found


@dataclass(frozen=True)
class Load:
    """`streams` times `audio` (float32 mono at `sample_rate`), a message every `chunk_s`, started over SPREAD_S."""

    url: str
    streams: int
    audio: npt.NDArray[np.float32]
    sample_rate: int
    chunk_s: float
    expected: tuple[ExpectedDetection, ...]


async def connect_all(load: Load, tally: LoadTally) -> list[Connection]:
    """The streams of a load, ready; refused ones count as failures."""
    opening = [connect(load.url, sample_rate=load.sample_rate) for _ in range(load.streams)]
    opened = await asyncio.gather(*opening, return_exceptions=True)
    tally.failures.update(str(error) for error in opened if isinstance(error, BaseException))
    return [connection for connection in opened if isinstance(connection, Connection)]


async def play_all(load: Load, streams: Sequence[Connection], tally: LoadTally) -> None:
    """Play the load to its end; all detections of a stream that fails count as missed."""
    tally.expected = load.streams * len(load.expected)
    data = encode(load.audio, "pcm_s16le")
    await asyncio.gather(*(play(load, data, i, stream, tally) for i, stream in enumerate(streams)))


async def play(load: Load, data: bytes, number: int, connection: Connection, tally: LoadTally) -> None:
    """One of the streams, from its first audio to its summary."""
    await asyncio.sleep(SPREAD_S * number / load.streams)
    try:
        async with connection, asyncio.TaskGroup() as tasks:
            tasks.create_task(send(load, data, connection, tally))
            events = [event async for event in connection]
        count(load, events, tally)
    except Exception as error:  # the other streams go on, whatever happened
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        tally.failures[str(cause)] += 1


async def send(load: Load, data: bytes, connection: Connection, tally: LoadTally) -> None:
    """Send at live pace, then close."""
    pace, step = Pace(), 2 * round(load.chunk_s * load.sample_rate)
    for start in range(0, len(data), step):
        end_s = min(len(data), start + step) / 2 / load.sample_rate
        await pace.wait(end_s)
        tally.late_ms.append(pace.lag_ms(end_s))
        await connection.send(data[start : start + step])
    await connection.close()


def count(load: Load, events: list[Event], tally: LoadTally) -> None:
    """Add the events of one stream."""
    detections = [event for event in events if event["type"] == "detection"]
    placed = Counter((event["label"], event["frame"]) for event in detections)
    tally.found += (placed & Counter(load.expected)).total()
    tally.server_ms += [event["latency"]["server_ms"] for event in detections]
