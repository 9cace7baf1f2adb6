"""What kind of sound file some bytes are, and the parts of it that a decoder reads right to their end."""

from collections.abc import Iterator

from service.spotting.audio import AudioError
from service.spotting.files import mpeg, ogg, riff
from service.spotting.files.media import media_kind
from service.spotting.files.part import Part

KINDS = "WAV, AIFF, FLAC, OGG or MP3"
SUFFIXES = frozenset(  # of what is taken from a directory
    (".wav", ".aif", ".aiff", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".webm", ".aac")
)
FLAC = b"fLaC"
STREAMINFO = (b"\0\0\0\x22", b"\x80\0\0\x22")  # the header of the block that is always first


def parts(content: bytes) -> Iterator[Part]:
    """The files that are joined in `content`, most often one, each with the length that it really has.

    libsndfile and FFmpeg know many formats; only what begins like one of ours is given to them. Raises AudioError for
    anything else.
    """
    start = mpeg.after_tags(content)
    if content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE":
        yield from riff.wav_parts(content)
    elif content[:4] == b"FORM" and content[8:12] in (b"AIFF", b"AIFC"):
        riff.check_aiff(content)
        yield Part(content)
    elif content[:4] == ogg.MAGIC:
        yield from ogg.parts(content)
    elif content[start : start + 4] == FLAC:
        yield from _flacs(content, start)
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
