"""Many streams at once, each at live pace: what they heard against what one alone hears, and how long it took.

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

SPREAD_S = 2.0  # microphones do not hear the same word at the same moment
Heard = tuple[str, int]  # label and frame of a detection


@dataclass
class Tally:
    """What all streams of a load came to."""

    expected: int = 0
    found: int = 0  # at the very frame of a stream alone
    server_ms: list[float] = field(default_factory=list)  # of every detection
    late_ms: list[float] = field(default_factory=list)  # the load itself, at every message: how far behind its pace
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        return self.expected - self.found


@dataclass(frozen=True)
class Load:
    """`streams` times `audio` (float32 mono at `sample_rate`), a message every `chunk_s`, started over SPREAD_S."""

    url: str
    streams: int
    audio: npt.NDArray[np.float32]
    sample_rate: int
    chunk_s: float
    expected: tuple[Heard, ...]


async def connect_all(load: Load, tally: Tally) -> list[Connection]:
    """The streams of a load, ready; those that are refused count as failures."""
    opening = [connect(load.url, sample_rate=load.sample_rate) for _ in range(load.streams)]
    opened = await asyncio.gather(*opening, return_exceptions=True)
    tally.failures.update(str(one) for one in opened if isinstance(one, BaseException))
    return [one for one in opened if isinstance(one, Connection)]


async def play_all(load: Load, streams: Sequence[Connection], tally: Tally) -> None:
    """Play the load to its end; a stream that fails counts all its detections as missed."""
    tally.expected = load.streams * len(load.expected)
    data = encode(load.audio, "pcm_s16le")
    await asyncio.gather(*(play(load, data, i, one, tally) for i, one in enumerate(streams)))


async def play(load: Load, data: bytes, number: int, connection: Connection, tally: Tally) -> None:
    """One of the streams, from its first audio to its summary."""
    await asyncio.sleep(SPREAD_S * number / load.streams)
    try:
        async with connection, asyncio.TaskGroup() as tasks:
            tasks.create_task(send(load, data, connection, tally))
            events = [event async for event in connection]
        count(load, events, tally)
    except Exception as error:  # whatever it is, the other streams go on
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        tally.failures[str(cause)] += 1


async def send(load: Load, data: bytes, connection: Connection, tally: Tally) -> None:
    """Send at live pace, then close."""
    pace, step = Pace(), 2 * round(load.chunk_s * load.sample_rate)
    for start in range(0, len(data), step):
        end_s = min(len(data), start + step) / 2 / load.sample_rate
        await pace.wait(end_s)
        tally.late_ms.append(pace.lag_ms(end_s))
        await connection.send(data[start : start + step])
    await connection.close()


def count(load: Load, events: list[Event], tally: Tally) -> None:
    """Add the events of one stream."""
    detections = [event for event in events if event["type"] == "detection"]
    heard = Counter((event["label"], event["frame"]) for event in detections)
    tally.found += (heard & Counter(load.expected)).total()
    tally.server_ms += [event["latency"]["server_ms"] for event in detections]
