"""The microphone: which there are, and the blocks of one of them as PortAudio delivers them. Owns the device.

PortAudio calls on a thread of its own and must never wait: the newest KEPT_S of audio wait for whoever takes them, what
is older is dropped, and a block's `start` tells how much.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from service.spotting.audio import MAX_RATE

BLOCK_S = 0.02
KEPT_S = 2.0
STALLED_S = 5.0  # without a block: the device has gone

NO_SOUNDDEVICE = "expected the package sounddevice, got none: pip install '.[microphone]'"
NO_PORTAUDIO = (
    "expected the PortAudio library, got none: apt-get install libportaudio2 libasound2-plugins (Debian, Ubuntu), "
    "dnf install portaudio (Fedora) or brew install portaudio (macOS)"
)


class MicrophoneError(Exception):
    """There is no audio to be had; the message says what was expected, what came and what to do."""


@dataclass(frozen=True, slots=True)
class Block:
    """Samples as they came, int16 [n, 1]."""

    start: int  # samples before it since the microphone was opened, those that were dropped among them
    samples: npt.NDArray[np.int16]
    heard_at: float  # `time.monotonic` when its last sample was there
    overflow: bool = False  # the device itself lost audio before it, nobody knows how much


class Microphone:
    """An open microphone; `async for block in microphone` goes on until `stop`. Raises NoMicrophone."""

    def __init__(self, device: int | str | None = None) -> None:
        """`device`: its number, a part of its name, or None for the default."""
        library = _library()
        self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
        self._blocks: deque[Block] = deque(maxlen=round(KEPT_S / BLOCK_S))
        self._start = 0
        self._stopped = False
        try:
            about = library.query_devices(device, "input")
            self.name: str = about["name"]
            self.sample_rate = min(round(about["default_samplerate"]), MAX_RATE)
            self._stream = library.InputStream(
                device=device,
                samplerate=self.sample_rate,
                blocksize=round(BLOCK_S * self.sample_rate),
                channels=1,
                dtype="int16",
                latency="low",
                callback=self._hear,
            )
            self._stream.start()
        except (ValueError, library.PortAudioError) as error:
            wanted = "a microphone" if device is None else f"a microphone {device!r}"
            raise MicrophoneError(f"expected {wanted}, got: {error}; --list-devices shows which there are") from error

    def stop(self) -> None:
        """No more than what was heard up to now."""
        self._stream.close()
        self._stopped = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Block:
        while not self._blocks:
            if self._stopped:
                raise StopAsyncIteration
            self._arrived.clear()
            try:
                async with asyncio.timeout(STALLED_S):
                    await self._arrived.wait()
            except TimeoutError:
                raise MicrophoneError(f"expected audio from {self.name}, got none for {STALLED_S:g} s") from None
        return self._blocks.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _hear(self, samples: npt.NDArray[np.int16], count: int, _: object, status: Any) -> None:
        """On PortAudio's thread: `samples` are there for this call only."""
        self._blocks.append(Block(self._start, samples.copy(), time.monotonic(), status.input_overflow))
        self._start += count
        self._loop.call_soon_threadsafe(self._arrived.set)


def devices() -> Iterator[str]:
    """A line for each microphone there is: its number, `*` at the default, its name and rate. Raises NoMicrophone."""
    library = _library()
    default = library.default.device[0]
    for number, about in enumerate(library.query_devices()):
        if about["max_input_channels"]:
            mark = "*" if number == default else " "
            yield f"{number:3} {mark} {about['name']}, {about['default_samplerate']:.0f} Hz"


def _library() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MicrophoneError(NO_SOUNDDEVICE) from None
    except OSError:  # which it raises where it finds no PortAudio
        raise MicrophoneError(NO_PORTAUDIO) from None
    return sounddevice
