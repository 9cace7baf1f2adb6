"""Microphones: their list, and the blocks of audio of one of them as PortAudio delivers them. Owns the device.

PortAudio calls on a thread of its own and must never wait: the newest KEPT_S of audio are kept for the caller, older
audio is dropped, and a block's `start` shows how much.
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
STALLED_S = 5.0  # after this long without a block the device is gone

NO_SOUNDDEVICE = "expected the package sounddevice, got none: pip install '.[microphone]'"
NO_PORTAUDIO = (
    "expected the PortAudio library, got none: apt-get install libportaudio2 libasound2-plugins (Debian, Ubuntu), "
    "dnf install portaudio (Fedora) or brew install portaudio (macOS)"
)


class MicrophoneError(Exception):
    """No audio can be recorded; the message says what was expected, what came and what to do."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples, int16 [n, 1]."""

    start: int  # samples before it since the microphone was opened, dropped ones included
    samples: npt.NDArray[np.int16]
    received_at: float  # `time.monotonic` when its last sample arrived
    overflow: bool = False  # the device itself lost audio before it, nobody can say how much


class Microphone:
    """An open microphone; `async for block in microphone` goes on until `stop`. Raises MicrophoneError."""

    def __init__(self, device: int | str | None = None) -> None:
        """`device`: its number, a part of its name, or None for the default."""
        library = _library()
        self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
        self._blocks: deque[Block] = deque(maxlen=round(KEPT_S / BLOCK_S))
        self._start = 0
        self._stopped = False
        try:
            info = library.query_devices(device, "input")
            self.name: str = info["name"]
            self.sample_rate = min(round(info["default_samplerate"]), MAX_RATE)
            self._stream = library.InputStream(
                device=device,
                samplerate=self.sample_rate,
                blocksize=round(BLOCK_S * self.sample_rate),
                channels=1,
                dtype="int16",
                latency="low",
                callback=self._on_audio,
            )
            self._stream.start()
        except (ValueError, library.PortAudioError) as error:
            expected = "a microphone" if device is None else f"a microphone {device!r}"
            raise MicrophoneError(
                f"expected {expected}, got: {error}; --list-devices shows the microphones of this machine"
            ) from error

    def stop(self) -> None:
        """Close the device and end the iteration after the audio up to now."""
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

    def _on_audio(self, samples: npt.NDArray[np.int16], count: int, _: object, status: Any) -> None:
        """On PortAudio's thread: `samples` are valid during this call only."""
        self._blocks.append(Block(self._start, samples.copy(), time.monotonic(), status.input_overflow))
        self._start += count
        self._loop.call_soon_threadsafe(self._arrived.set)


def devices() -> Iterator[str]:
    """One line per microphone: its number, `*` at the default, its name and rate. Raises MicrophoneError."""
    library = _library()
    default = library.default.device[0]
    for number, info in enumerate(library.query_devices()):
        if info["max_input_channels"]:
            mark = "*" if number == default else " "
            yield f"{number:3} {mark} {info['name']}, {info['default_samplerate']:.0f} Hz"


def _library() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MicrophoneError(NO_SOUNDDEVICE) from None
    except OSError:  # raised where there is no PortAudio library
        raise MicrophoneError(NO_PORTAUDIO) from None
    return sounddevice
