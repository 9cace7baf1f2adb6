"""What kind of sound file some bytes are, and the parts of it that a decoder reads right to their end."""

import re
import struct
from collections.abc import Iterator

from service.spotting.audio import AudioError
from service.spotting.files import mpeg, ogg, riff
from service.spotting.files.header import EBML, FLAC, OGG, is_aiff, is_wav
from service.spotting.files.media import MP4_BOXES, media_kind
from service.spotting.files.part import Part

KINDS = "WAV, AIFF, FLAC, OGG or MP3"
SUFFIXES = frozenset(  # suffixes of what is taken from a directory
    (".wav", ".aif", ".aiff", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".webm", ".aac")
)
BOX = struct.Struct(">I4s")  # size and name in an MP4
MAX_BOXES = 100_000  # at the top of an MP4: bounds the time
MATROSKA_TYPE = re.compile(rb"\x42\x82[\x84\x88](webm|matroska)")  # an element of an EBML header
EBML_BYTES = 64  # from the beginning of that header to this element, at most
STREAMINFO = (b"\0\0\0\x22", b"\x80\0\0\x22")  # the header of the block that is always first


def parts(content: bytes) -> Iterator[Part]:
    """The files that are joined in `content`, most often one, each with the length that it really has.

    libsndfile and FFmpeg know many formats; only what begins like one of ours is given to them. Raises AudioError for
    anything else.
    """
    start = mpeg.after_tags(content)
    if is_wav(content):
        yield from riff.wav_parts(content)
    elif is_aiff(content):
        riff.check_aiff(content)
        yield Part(content)
    elif content[:4] == OGG:
        yield from ogg.parts(content)
    elif content[start : start + 4] == FLAC:
        yield from _flacs(content, start)
    elif content[4:8] in MP4_BOXES:
        yield from _mp4s(content)
    elif content[:4] == EBML:
        yield from _matroskas(content)
    elif media_kind(content):
        yield Part(content)
    elif content[start : start + 1] == b"\xff" and content[start + 1 : start + 2] >= b"\xe0":
        yield from mpeg.parts(content, start)
    else:
        raise AudioError(f"expected {KINDS}, got: Format not recognised.")


def _flacs(content: bytes, start: int) -> Iterator[Part]:
    """The FLAC files that follow each other in `content`; libsndfile decodes the first of them only."""
    at = start
    while (at := content.find(FLAC, at + 1)) >= 0:
        if content[at + 4 : at + 8] in STREAMINFO:
            yield Part(content[start:at])
            start = at
    yield Part(content[start:])


def _mp4s(content: bytes) -> Iterator[Part]:
    """The MP4 files that follow each other in `content`: FFmpeg reads the first only. Each begins with a `ftyp` box."""
    start = at = 0
    for _ in range(MAX_BOXES):
        size, name = BOX.unpack_from(content, at) if at + BOX.size <= len(content) else (0, b"")
        if name == b"ftyp" and at > start:
            yield Part(content[start:at])
            start = at
        if size == 1:  # the next 64 bits have it
            size = int.from_bytes(content[at + 8 : at + 16])
        if size < BOX.size:
            break
        at += size
    yield Part(content[start:])


def _matroskas(content: bytes) -> Iterator[Part]:
    """The Matroska or WebM files that follow each other in `content`: each begins with a header that has its type."""
    start = 0
    for matroska_type in MATROSKA_TYPE.finditer(content):
        at = content.rfind(EBML, max(start + 1, matroska_type.start() - EBML_BYTES), matroska_type.start())
        if at >= 0:
            yield Part(content[start:at])
            start = at
    yield Part(content[start:])
