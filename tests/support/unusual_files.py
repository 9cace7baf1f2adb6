"""Sound files for the fuzzer: good ones, unusual ones that are to be read whole, and damaged ones."""

import io
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile

from service.spotting.files.mpeg import frames
from tests.support.speech import synthesize

RATE = 16000  # Hz
PLACEHOLDERS = (0, 0x7FFF_FFFF, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF)  # sizes that a WAV from a pipe has
MAX_JOINED = 5


class SoundFile(NamedTuple):
    """A file, and how many samples at 16 kHz are in it at least."""

    kind: str
    content: bytes
    samples: int


def seeds() -> list[SoundFile]:
    """A good file of each kind."""
    kinds = [("WAV", None), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
    files = []
    for kind, subtype in [*kinds, ("WAVEX", None), ("AIFF", None), ("MP3", None)]:
        file = io.BytesIO()
        soundfile.write(file, synthesize("yes"), RATE, format=kind, subtype=subtype)
        files.append(SoundFile(kind, file.getvalue(), len(synthesize("yes"))))
    return files


SEEDS = seeds()


def pick(rng: np.random.Generator, *kinds: str) -> SoundFile:
    chosen = [file for file in SEEDS if file.kind in kinds]
    return chosen[int(rng.integers(len(chosen)))]


def mp3_without_length(rng: np.random.Generator) -> SoundFile:
    """As an encoder writes it to a pipe; sometimes it begins in the middle of a stream."""
    (kind, content, samples), cut = pick(rng, "MP3"), int(rng.integers(1, 4))
    places = [at for at, _ in frames(content, 0)]
    return SoundFile(kind, content[places[cut] :], samples - 576 * (cut - 1))


def joined(rng: np.random.Generator) -> SoundFile:
    """As `cat` makes them, also of different kinds in one container."""
    kinds = (("MP3",), ("OGG",), ("FLAC",), ("WAV", "WAVEX"))[int(rng.integers(4))]
    files = [pick(rng, *kinds) for _ in range(int(rng.integers(2, MAX_JOINED + 1)))]
    return SoundFile(kinds[0], b"".join(file.content for file in files), sum(file.samples for file in files))


def wav_from_pipe(rng: np.random.Generator) -> SoundFile:
    """Its sizes are placeholders, less what its header takes or not."""
    kind, content, samples = pick(rng, "WAV", "WAVEX")
    data = bytearray(content)
    for at in (4, content.index(b"data") + 4):
        size = int(rng.choice(PLACEHOLDERS))
        struct.pack_into("<I", data, at, max(0, size - int(rng.integers(0, 100))) if size else 0)
    return SoundFile(kind, bytes(data), samples)


def rf64_from_pipe(rng: np.random.Generator) -> SoundFile:
    _, content, samples = pick(rng, "WAVEX")
    at = content.index(b"data")
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, int(rng.choice([0, 2**63 - 1])), 0, 0)
    return SoundFile(
        "RF64",
        b"RF64\xff\xff\xff\xffWAVE" + ds64 + content[12:at] + b"data\xff\xff\xff\xff" + content[at + 8 :],
        samples,
    )


def flac_of_unknown_length(rng: np.random.Generator) -> SoundFile:
    kind, content, samples = pick(rng, "FLAC")
    return SoundFile(kind, content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:], samples)


def tagged(rng: np.random.Generator) -> SoundFile:
    """Behind one to five ID3v2 tags."""
    kind, content, samples = pick(rng, "MP3", "FLAC")
    sizes = rng.integers(0, 1000, int(rng.integers(1, 6)))
    tags = [b"ID3\4\0\0\0\0" + bytes([size >> 7, size & 127]) + rng.bytes(size) for size in map(int, sizes)]
    return SoundFile(kind, b"".join(tags) + content, samples)


def mp3_in_wav(rng: np.random.Generator) -> SoundFile:
    _, content, samples = pick(rng, "MP3")
    fmt = struct.pack("<HHIIHHHHHIHHH", 0x55, 1, RATE, 4000, 1, 0, 12, 1, 2, 0, 576, 1, 0)
    size = int(rng.choice([len(content), 0xFFFF_FFFF]))
    wav = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size) + content
    return SoundFile("WAV", b"RIFF" + struct.pack("<I", len(wav)) + wav, samples)


UNUSUAL: tuple[Callable[[np.random.Generator], SoundFile], ...] = (
    mp3_without_length,
    joined,
    wav_from_pipe,
    rf64_from_pipe,
    flac_of_unknown_length,
    tagged,
    mp3_in_wav,
)


def unusual(rng: np.random.Generator) -> SoundFile:
    """A file that a decoder may refuse or cut short, although it is a good one."""
    return UNUSUAL[int(rng.integers(len(UNUSUAL)))](rng)


def damaged(rng: np.random.Generator) -> bytes:
    """A good or an unusual file with a few bytes changed, cut, doubled or put in; mostly near its head."""
    content = pick(rng, *{file.kind for file in SEEDS}).content if rng.random() < 0.5 else unusual(rng).content
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(len(data) * rng.random() ** 3)
        size = int(rng.integers(1, 64))
        match rng.integers(5):
            case 0:
                data[at : at + 1] = rng.bytes(1)
            case 1:
                data[at : at + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4, "little")
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case _:
                data[at:at] = rng.bytes(size)
    return bytes(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.2 else data)
