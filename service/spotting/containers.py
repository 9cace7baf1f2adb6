"""Names the sound file format that bytes begin with, so that a file sent as a stream is reported as what it is."""

EBML = b"\x1a\x45\xdf\xa3"  # the header of Matroska and WebM
MPEG_RATES = (44100, 48000, 32000)  # Hz, of MPEG 1; halved for MPEG 2
MPEG_1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # layer 3
MPEG_2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def container_name(data: bytes) -> str | None:
    """WebM, Ogg, FLAC, WAV, MP3, MP4 or AIFF when `data` begins with such a header; None for anything else."""
    if data[:4] == EBML:
        return "WebM"
    if data[:4] == b"OggS":
        return "Ogg"
    if data[:4] == b"fLaC":
        return "FLAC"
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "WAV"
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if data[4:8] == b"ftyp":
        return "MP4"
    return "MP3" if _is_id3(data) or _is_mpeg(data) else None


def _is_id3(data: bytes) -> bool:
    """Whether it is an ID3v2 tag: its version is low, and the bytes of its size have seven bits each."""
    return data[:3] == b"ID3" and len(data) >= 10 and data[3] < 5 and max(data[6:10]) < 0x80


def _is_mpeg(data: bytes) -> bool:
    """Whether it is a frame of MPEG layer 3 with another right after it: one alone may as well be samples."""
    size = _mpeg_frame_bytes(data[:4])
    return size is not None and _mpeg_frame_bytes(data[size : size + 4]) is not None


def _mpeg_frame_bytes(header: bytes) -> int | None:
    """The length of the layer 3 frame with this header; None when it is no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate, padding = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    if version == 3:
        return 144_000 * MPEG_1_KBPS[bitrate] // MPEG_RATES[rate] + padding
    return 72_000 * MPEG_2_KBPS[bitrate] // (MPEG_RATES[rate] // (2 if version == 2 else 4)) + padding
