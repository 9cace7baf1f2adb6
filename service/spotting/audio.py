"""Audio of any usual kind to float32 mono at the model's rate: streams by pieces, files whole, through one resampler.

Knows nothing of models or sockets. Full scale is +-1.
"""

import io
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 8000, 48000  # Hz
MAX_CHANNELS = 2
MAX_S = 3600.0  # of a file, unless the caller says otherwise
MAX_PEAK = 8.0  # full scales; above it the numbers are no float audio (integers sent as floats, NaN, infinities)
FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")  # as libsndfile calls them; OGG holds Opus or Vorbis
UNKNOWN_SIZE = 0xFFFFFFFF  # what a program that writes WAV to a pipe puts for a length
MAX_CHUNKS = 256  # of a WAV; libsndfile takes 40 s for the millions that a file can have


class AudioError(ValueError):
    """This is no audio that can be read; the message says what was expected and what came."""


class Resampler:
    """One stream from `rate` to `target` Hz: any cutting into pieces gives the same samples.

    soxr's variable-rate engine at a fixed ratio: it holds back 12 ms at 48 kHz and 30 ms at 8 kHz, always the same,
    where the block-wise one holds back up to 37 and 115 ms.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._stream = None if rate == target else soxr.ResampleStream(rate, target, 1, vr=True)

    def push(self, samples: Samples) -> Samples:
        """Mono samples in, those that are ready out."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def flush(self) -> Samples:
        """The samples still held back; the next push starts afresh."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream.clear()
        return rest

    def reset(self) -> None:
        if self._stream is not None:
            self._stream.clear()


def read_audio(source: bytes | str | Path, rate: int = 16000, max_s: float = MAX_S) -> Samples:
    """Read a WAV, FLAC, OGG or MP3 (its bytes or its path) to float32 mono [samples] at `rate` Hz.

    Raises BadAudio, naming what was expected and what came.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not content:
        raise AudioError("expected audio, got an empty file")
    check_signature(content)
    refuse_truncated_wav(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            check_format(file, max_s)
            promised, file_rate = file.frames, file.samplerate
            channels = file.read(promised, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"expected WAV, FLAC, OGG or MP3, got: {error.error_string}") from error
    if len(channels) < promised:
        raise AudioError(f"expected {promised} samples as its header says, got {len(channels)}")
    resampler = Resampler(file_rate, rate)
    return np.concatenate([resampler.push(check_amplitude(mono(channels))), resampler.flush()])


def mono(channels: Samples) -> Samples:
    """[samples, channels] to the mean of the channels, [samples]."""
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)


def check_amplitude(samples: Samples) -> Samples:
    """The samples, if they are some: floats may be anything, integers need no such look."""
    if samples.size and not (peak := float(np.abs(samples).max())) <= MAX_PEAK:  # `not <=` catches NaN too
        raise AudioError(f"expected samples within +-{MAX_PEAK:g} where full scale is 1, got {peak:g}")
    return samples


def check_format(file: soundfile.SoundFile, max_s: float) -> None:
    if file.format not in FORMATS:
        raise AudioError(f"expected WAV, FLAC, OGG or MP3, got {file.format}")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise AudioError(f"expected {MIN_RATE} to {MAX_RATE} Hz, got {file.samplerate}")
    if file.channels > MAX_CHANNELS:
        raise AudioError(f"expected 1 or {MAX_CHANNELS} channels, got {file.channels}")
    if file.frames == 0:
        raise AudioError("expected audio, got a header without samples")
    if file.frames > max_s * file.samplerate:
        raise AudioError(f"expected at most {max_s:g} s, got {file.frames / file.samplerate:.1f} s")


def check_signature(content: bytes) -> None:
    """libsndfile knows thirty formats; only what begins like one of ours is given to it."""
    start = content
    if content[:3] == b"ID3" and len(content) > 10:  # a tag before MP3 or FLAC, its length in four times seven bits
        size = (content[6] & 127) << 21 | (content[7] & 127) << 14 | (content[8] & 127) << 7 | content[9] & 127
        start = content[10 + size : 14 + size]
    is_mpeg = len(start) > 1 and start[0] == 0xFF and start[1] >= 0xE0
    if not (is_mpeg or start[:4] == b"fLaC" or content[:4] in (b"RIFF", b"OggS")):
        raise AudioError("expected WAV, FLAC, OGG or MP3, got: Format not recognised.")


def refuse_truncated_wav(content: bytes) -> None:
    """libsndfile reads a cut WAV as a shorter one, so its `data` chunk is compared with what is there."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(content):
            return
        name, size = struct.unpack_from("<4sI", content, at)
        there = len(content) - at - 8
        if name == b"data":
            if size == UNKNOWN_SIZE:
                return
            if size > there:
                raise AudioError(f"expected {size} bytes of samples as its header says, got {there}: truncated")
        at += 8 + size + size % 2
    raise AudioError(f"expected at most {MAX_CHUNKS} chunks, got more")
