"""A sound file to float32 samples: in blocks at its own rate, or whole at a model's.

The same file gives the same samples everywhere. Nothing that is in it is lost: the parts of joined files follow each
other at the rate and with the channels of the first. Of the silence that an encoder puts in front, what the file
declares is taken away (the Info frame of an MP3, the header of Opus, the edit list of an M4A); an MP3 without such a
frame begins with its encoder's 23 to 140 ms.
"""

import io
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from service.spotting.audio import (
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    SAMPLE_RATE,
    AudioError,
    Resampler,
    Samples,
    check_amplitude,
    mono,
)
from service.spotting.files.containers import KINDS, parts
from service.spotting.files.media import MediaDecoder, media_kind
from service.spotting.files.part import Part

MAX_S = 3600.0  # longest file, unless the caller says otherwise
MAX_PARTS = 1000  # joined in a file
MAX_MEDIA_PARTS = 20  # the same where each takes a process
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3")  # as libsndfile calls them
UNKNOWN_FRAMES = 2**62  # and more: what libsndfile says of a FLAC that does not know its length
BLOCK = 2**16  # samples a channel, decoded together


class Decoder(Protocol):
    """A decoder of a part of a file."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def is_empty(self) -> bool: ...
    def blocks(self, size: int) -> Iterator[Samples]: ...


class AudioFile:
    """A sound file that is read once, from front to back: WAV, AIFF, FLAC, Ogg Opus or Vorbis, MP3.

    With the extra `media` also M4A and other MP4, WebM and Matroska, AAC, Ogg FLAC and Speex. 8 to 48 kHz, mono or
    stereo.

    Args:
        source: the file's bytes, or its path.
        max_s: how many seconds it may have.

    Attributes:
        sample_rate: Hz.
        channels: 1 or 2.

    Raises:
        AudioError: it is not such a file, or its header says that more is to come than there is.
        OSError: it cannot be read from its path.
    """

    def __init__(self, source: bytes | str | Path, max_s: float = MAX_S) -> None:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not content:
            raise AudioError("expected audio, got an empty file")
        self._max_s = max_s
        self._decoders = _decoders(content, max_s)
        first = next((decoder for decoder in self._decoders if not decoder.is_empty), None)
        if first is None:
            raise AudioError("expected audio, got a header without samples")
        self._first = first
        self.sample_rate, self.channels = self._first.sample_rate, self._first.channels

    def blocks(self, size: int = BLOCK) -> Iterator[Samples]:
        """Decode the file.

        Args:
            size: samples per channel in a block; the last one, and those before a joint, are shorter.

        Yields:
            float32 [samples, channels] at `sample_rate`; full scale is 1.

        Raises:
            AudioError: the file is damaged, too long or empty.
        """
        count = 0
        for decoder in chain([self._first], self._decoders):
            for block in _fitted(decoder, size, self.sample_rate, self.channels):
                count += len(block)
                if count > self._max_s * self.sample_rate:
                    raise AudioError(f"expected at most {self._max_s:g} s, got more")
                yield block
        if not count:
            raise AudioError("expected audio, got a header without samples")


def read_audio(source: bytes | str | Path, rate: int = SAMPLE_RATE, max_s: float = MAX_S) -> Samples:
    """Read a sound file whole.

    Args:
        source: its bytes or its path; the kinds are those of `AudioFile`.
        rate: Hz of the samples returned.
        max_s: how many seconds it may have.

    Returns:
        float32 [samples], the mean of the channels; full scale is 1.

    Raises:
        AudioError: it is not such a file, damaged or too long; the message says what was expected and what came.
        OSError: it cannot be read from its path.
    """
    file = AudioFile(source, max_s)
    resampler = Resampler(file.sample_rate, rate)
    blocks = [resampler.push(check_amplitude(mono(block))) for block in file.blocks()]
    return np.concatenate([*blocks, resampler.flush()])


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """Read from front to back: a seek after each read, as soundfile does, fails where a FLAC's length is unknown."""

    def seekable(self) -> bool:
        return False


class _AiffContent(io.BytesIO):
    """An AIFF in memory. In one without samples libsndfile seeks to -1, which cffi would print as an exception."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with suppress(ValueError):
            return super().seek(offset, whence)
        return self.tell()


class _SndfileDecoder:
    """What libsndfile reads."""

    def __init__(self, part: Part, max_s: float) -> None:
        self._skip = part.skip
        memory = _AiffContent if part.content.startswith(b"FORM") else io.BytesIO
        try:
            self._file = _ForwardFile(memory(part.content))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"expected {KINDS}, got: {error.error_string}") from error
        if self._file.format not in FORMATS:
            raise AudioError(f"expected {KINDS}, got {self._file.format}")
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.is_empty = self._file.frames == 0
        self._promised = None if self._file.frames >= UNKNOWN_FRAMES else self._file.frames
        if self._promised is not None and self._promised > max_s * self.sample_rate:
            raise AudioError(f"expected at most {max_s:g} s, got {self._promised / self.sample_rate:.1f} s")

    def blocks(self, size: int) -> Iterator[Samples]:
        count = 0
        try:
            with self._file:
                if self._skip:
                    self._file.read(self._skip, dtype="float32")
                while (wanted := min(size, self._file.frames - self._skip - count)) > 0:
                    block = self._file.read(wanted, dtype="float32", always_2d=True)
                    if not len(block):
                        break
                    count += len(block)
                    yield block
        except soundfile.LibsndfileError as error:
            raise AudioError(f"expected audio to the end, got: {error.error_string}") from error
        if self._promised is not None and count < self._promised and self._file.format != "MP3":  # there an estimate
            raise AudioError(f"expected {self._promised} samples as its header says, got {count}")


def _decoders(content: bytes, max_s: float) -> Iterator[Decoder]:
    """The decoder of each part, opened when its turn comes."""
    for count, part in enumerate(parts(content)):
        kind = media_kind(part.content)
        if count >= (most := MAX_MEDIA_PARTS if kind else MAX_PARTS):
            raise AudioError(f"expected at most {most} joined files, got more")
        yield _checked(MediaDecoder(part.content, kind, max_s) if kind else _SndfileDecoder(part, max_s))


def _checked(decoder: Decoder) -> Decoder:
    if not MIN_RATE <= decoder.sample_rate <= MAX_RATE:
        raise AudioError(f"expected {MIN_RATE} to {MAX_RATE} Hz, got {decoder.sample_rate}")
    if decoder.channels > MAX_CHANNELS:
        raise AudioError(f"expected 1 or {MAX_CHANNELS} channels, got {decoder.channels}")
    return decoder


def _fitted(decoder: Decoder, size: int, rate: int, channels: int) -> Iterator[Samples]:
    """The blocks of a part at the rate and with the channels of the first part."""
    if (decoder.sample_rate, decoder.channels) == (rate, channels):
        yield from decoder.blocks(size)
        return
    resamplers = [Resampler(decoder.sample_rate, rate) for _ in range(channels)]
    for block in decoder.blocks(size):
        columns = [mono(block)] * channels if decoder.channels != channels else list(block.T)
        yield np.stack([each.push(np.ascontiguousarray(c)) for each, c in zip(resamplers, columns, strict=True)], 1)
    yield np.stack([resampler.flush() for resampler in resamplers], 1)
