"""A source for a Listener that delivers what a test puts into it."""

import asyncio
import signal
import time
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clients.microphone import Block
from tests.support.tone_model import RATE

BLOCK = RATE // 50


class FakeMicrophone:
    """Delivers the samples that were put in, at once, and then waits for more or for `stop`."""

    def __init__(self, *pieces: NDArray[np.float32], sample_rate: int = RATE) -> None:
        self.name = "fake"
        self.sample_rate = sample_rate
        self.stopped = False
        self._start = 0
        self._blocks: asyncio.Queue[Block | None] = asyncio.Queue()
        for piece in pieces:
            self.put(piece)

    def put(self, samples: NDArray[np.float32]) -> None:
        for at in range(0, len(samples), BLOCK):
            piece = (samples[at : at + BLOCK, np.newaxis] * 32767).round().astype(np.int16)
            self._blocks.put_nowait(Block(self._start, piece, time.monotonic()))
            self._start += len(piece)

    def lose(self, samples: int) -> None:
        """Skip samples, as a microphone whose blocks nobody takes in time."""
        self._start += samples

    def stop(self) -> None:
        self.stopped = True
        self._blocks.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Block:
        if (block := await self._blocks.get()) is None:
            raise StopAsyncIteration
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class InterruptedMicrophone(FakeMicrophone):
    """Is interrupted, as by Ctrl-C, where its samples end."""

    async def __anext__(self) -> Block:
        if self._blocks.empty():
            signal.raise_signal(signal.SIGINT)
        return await super().__anext__()
