"""clients/microphone.py against a fake PortAudio; the real one is in commands/test_listen.py."""

import ctypes.util
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clients import microphone as module
from clients.microphone import Microphone, MicrophoneError, devices


class FakePortAudio:
    """Two devices; `play` calls the callback of the stream that was opened."""

    PortAudioError = OSError
    default = SimpleNamespace(device=[1, 0])

    def __init__(self, rate: float = 48000.0) -> None:
        self.opened: dict[str, Any] = {}
        self.closed = False
        self._devices = [
            {"name": "speakers", "max_input_channels": 0, "default_samplerate": 44100.0},
            {"name": "USB headset", "max_input_channels": 1, "default_samplerate": rate},
        ]

    def query_devices(self, device: int | str | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self._devices
        if device not in (None, 1, "USB"):
            raise ValueError(f"No input device matching {device!r}")
        return self._devices[1]

    def InputStream(self, **options: Any) -> "FakePortAudio":  # noqa: N802 - the name in sounddevice
        self.opened = options
        return self

    def start(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def play(self, blocks: int, overflow: bool = False) -> None:
        size = self.opened["blocksize"]
        for i in range(blocks):
            data = np.full((size, 1), i, np.int16)
            self.opened["callback"](data, size, None, SimpleNamespace(input_overflow=overflow))
            data[:] = -1  # it is PortAudio's again


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setattr(module, "_library", lambda: fake)
    return fake


async def test_blocks_arrive_as_recorded_and_end_with_stop(portaudio: FakePortAudio) -> None:
    microphone = Microphone("USB")
    portaudio.play(3)
    microphone.stop()
    blocks = [block async for block in microphone]
    assert [block.start for block in blocks] == [0, 960, 1920]
    assert [block.samples[5, 0] for block in blocks] == [0, 1, 2]
    assert portaudio.closed
    assert (microphone.name, microphone.sample_rate) == ("USB headset", 48000)


async def test_blocks_that_nobody_takes_are_dropped_oldest_first_and_show_in_start(portaudio: FakePortAudio) -> None:
    with Microphone() as microphone:
        portaudio.play(130)
    blocks = [block async for block in microphone]
    assert len(blocks) == 100  # two seconds
    assert blocks[0].start == 30 * 960


async def test_audio_lost_by_the_device_is_marked(portaudio: FakePortAudio) -> None:
    with Microphone() as microphone:
        portaudio.play(1, overflow=True)
    assert [block.overflow async for block in microphone] == [True]


@pytest.mark.parametrize(("native", "opened"), [(44100.0, 44100), (8000.0, 8000), (96000.0, 48000)])
async def test_the_device_is_asked_for_its_own_rate_up_to_the_highest(
    native: float, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakePortAudio(native)
    monkeypatch.setattr(module, "_library", lambda: fake)
    with Microphone() as microphone:
        assert microphone.sample_rate == fake.opened["samplerate"] == opened
        assert fake.opened["blocksize"] == opened // 50


async def test_a_device_that_falls_silent_is_an_error(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_S", 0.05)
    with (
        Microphone() as microphone,
        pytest.raises(MicrophoneError, match="expected audio from USB headset, got none for"),
    ):
        await anext(microphone)


async def test_a_missing_device_is_an_error(portaudio: FakePortAudio) -> None:
    with pytest.raises(
        MicrophoneError, match="expected a microphone 7, got: No input device matching 7; --list-devices"
    ):
        Microphone(7)


def test_devices_lists_the_microphones(portaudio: FakePortAudio) -> None:
    assert list(devices()) == ["  1 * USB headset, 48000 Hz"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MicrophoneError, match=r"expected the package sounddevice, .* pip install '\.\[microphone\]'"):
        list(devices())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the package brings PortAudio along")
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    with pytest.raises(
        MicrophoneError, match="expected the PortAudio library, got none: apt-get install libportaudio2"
    ):
        list(devices())
