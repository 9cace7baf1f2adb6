"""What sound files begin with, so that each is decoded, or reported where it comes as a stream, as what it is."""

from service.spotting.files.mpeg import after_tags, parse_header

EBML = b"\x1a\x45\xdf\xa3"  # Matroska and WebM
FLAC = b"fLaC"
OGG = b"OggS"


def file_format(data: bytes) -> str | None:
    """WebM, Ogg, FLAC, WAV, MP3, MP4 or AIFF when `data` begins with such a header; None for anything else."""
    if data[:4] == EBML:
        return "WebM"
    if data[:4] == OGG:
        return "Ogg"
    if data[:4] == FLAC:
        return "FLAC"
    if is_wav(data):
        return "WAV"
    if is_aiff(data):
        return "AIFF"
    if data[4:8] == b"ftyp":
        return "MP4"
    return "MP3" if _has_tag(data) or _has_frames(data) else None


def is_wav(data: bytes) -> bool:
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def is_aiff(data: bytes) -> bool:
    return data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC")


def _has_tag(data: bytes) -> bool:
    """Whether an ID3v2 tag is there: its version is low, and the bytes of its size have seven bits each."""
    return after_tags(data) > 0 and data[3] < 5 and max(data[6:10]) < 0x80


def _has_frames(data: bytes) -> bool:
    """Whether there is an MPEG frame with another right after it: one header alone may as well be samples."""
    first = parse_header(data[:4]) if len(data) >= 4 and data[0] == 0xFF else None
    following = data[first.length : first.length + 4] if first else b""
    return len(following) == 4 and parse_header(following) is not None
