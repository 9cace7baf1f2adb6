"""WAV and AIFF: chunks that begin with a name and a size.

libsndfile reads a truncated file as a shorter one and believes a size of 0, so sizes are compared with what is there. A
program that writes to a pipe does not know the length and puts a placeholder: such a file is read to its end.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from service.spotting.audio import AudioError
from service.spotting.files import mpeg
from service.spotting.files.part import Part

LITTLE, BIG = struct.Struct("<4sI"), struct.Struct(">4sI")  # name and size of a chunk
MAX_CHUNKS = 256  # chunks of a file; libsndfile takes 40 s for the millions that a file can have
MPEG_TAGS = (0x50, 0x55)  # in a `fmt ` chunk: MPEG audio, layers 1 and 2, and layer 3
EXTENSIBLE = 0xFFFE  # stands in its place where the tag is the beginning of a sub-format
SIZE_IN_DS64 = 0xFFFFFFFF  # size of the samples of an RF64, whose `ds64` chunk has 64 bits for it
NEXT_WAV = re.compile(rb"(RIFF|RF64)....WAVE", re.DOTALL)
NAME = re.compile(rb"[ -~]{4}")  # the name of a chunk


class Chunk(NamedTuple):
    name: bytes
    start: int  # first of its bytes, after name and size
    size: int  # as its header says

    @property
    def next(self) -> int:
        """Where the chunk after it begins: sizes are padded to even ones."""
        return self.start + self.size + self.size % 2


def wav_parts(content: bytes) -> Iterator[Part]:
    """The WAV files that follow each other in `content`, with true sizes; MPEG audio in a WAV comes without the WAV.

    Raises AudioError for a truncated one.
    """
    start: int | None = 0
    while start is not None:
        tag, size64, following = 0, 0, None
        for chunk in _chunks(content, start + 12):
            if chunk.name == b"ds64":
                size64 = int.from_bytes(content[chunk.start + 8 : chunk.start + 16], "little")
            if chunk.name == b"fmt ":
                tag = _format_tag(content, chunk)
            if chunk.name == b"data":
                in_ds64 = content[start : start + 4] == b"RF64" and chunk.size == SIZE_IN_DS64
                size = _true_size(content, chunk, size64 if in_ds64 else chunk.size)
                following = _next_wav(content, chunk.start + size, size)
                if tag in MPEG_TAGS:
                    yield from mpeg.parts(content[chunk.start : chunk.start + size])
                elif size == chunk.size or (in_ds64 and size == size64):
                    yield Part(content[start:following])
                else:
                    yield Part(_with_sizes(content[start : chunk.start + size], chunk.start - start))
                break
        else:
            yield Part(content[start:])  # for libsndfile to say what is wrong
        start = following


def check_aiff(content: bytes) -> None:
    """Raises AudioError for a truncated AIFF; one of unknown length is read to its end by libsndfile."""
    for chunk in _chunks(content, 12, BIG):
        if chunk.name == b"SSND" and chunk.size:
            _true_size(content, chunk, chunk.size)


def _chunks(content: bytes, at: int, header: struct.Struct = LITTLE) -> Iterator[Chunk]:
    for _ in range(MAX_CHUNKS):
        if at + header.size > len(content):
            return
        name, size = header.unpack_from(content, at)
        chunk = Chunk(name, at + header.size, size)
        yield chunk
        at = chunk.next
    raise AudioError(f"expected at most {MAX_CHUNKS} chunks, got more")


def _format_tag(content: bytes, chunk: Chunk) -> int:
    tag = int.from_bytes(content[chunk.start : chunk.start + 2], "little")
    return int.from_bytes(content[chunk.start + 24 : chunk.start + 26], "little") if tag == EXTENSIBLE else tag


def _true_size(content: bytes, chunk: Chunk, size: int) -> int:
    """The bytes of samples in a chunk: `size`, or all to the end of the file where that is a placeholder."""
    there = len(content) - chunk.start
    if size > there and not _is_placeholder(size):
        raise AudioError(f"expected {size} bytes of samples as its header says, got {there}: truncated")
    if size > there or (size == 0 and not _only_chunks(content, chunk.start)):
        following = NEXT_WAV.search(content, chunk.start)
        return following.start() - chunk.start if following else there
    return size


def _is_placeholder(size: int) -> bool:
    """The largest number of 32 or 64 bits, signed or not, give or take what a header takes."""
    return 0x7FFF0000 <= size <= 0x8000FFFF or 0xFFFF0000 <= size <= 0xFFFFFFFF or size >= 0x7FFFFFFFFFFF0000


def _only_chunks(content: bytes, at: int) -> bool:
    """Whether the rest of a file is whole chunks or nothing: then a chunk of no bytes before it is really empty."""
    for chunk in _chunks(content, at):
        if not NAME.match(chunk.name) or chunk.next > len(content) + 1:
            return False
        at = chunk.next
    return at >= len(content)


def _next_wav(content: bytes, end: int, size: int) -> int | None:
    """Where another WAV begins behind the samples, with other chunks between them or without."""
    if NEXT_WAV.match(content, end):  # the byte that pads an odd size may be missing
        return end
    for chunk in _chunks(content, end + size % 2):
        if NEXT_WAV.match(content, at := chunk.start - LITTLE.size):
            return at
        if not NAME.match(chunk.name):
            return None
    return None


def _with_sizes(wav: bytes, data_start: int) -> bytes:
    """The same as a plain RIFF whose header says how long it is."""
    repaired = bytearray(wav)
    LITTLE.pack_into(repaired, 0, b"RIFF", min(len(wav) - LITTLE.size, 0xFFFFFFFF))
    LITTLE.pack_into(repaired, data_start - LITTLE.size, b"data", min(len(wav) - data_start, 0xFFFFFFFF))
    return bytes(repaired)
