"""MPEG audio (MP3): its frames, counted, so that a file without a length in its first frame is read to its end.

libsndfile stops at the length that it estimates from the first frame, and at the length that the first of several
joined files gives. So the frames are cut out of tags and damage, split where another file begins, and each file gets
an information frame with the true count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from service.spotting.audio import AudioError
from service.spotting.files.part import Part

BITRATES = {  # kbit/s of the indices from 1 on, by (MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by version bits
SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xeb]")  # what may begin a frame
ZEROS = re.compile(rb"\0*")
INFO_TAGS = (b"Xing", b"Info")
DECODER_DELAY = 529  # samples
COUNTED = 1  # flag of an information frame: it has a count of frames
MAX_TAGS = 100  # tags in front of the audio: bounds the time
MAX_FALSE_SYNCS = 100_000  # what looks like a frame in damaged parts of a file: bounds the time


class Header(NamedTuple):
    length: int  # bytes of the frame
    samples: int  # a channel
    layer: int
    info_at: int  # where in the frame of layer 3 an information tag would stand
    kind: tuple[int, bool]  # version, layer and rate; mono: the same within a file


@dataclass
class MpegFile:
    """Frames of one file: its information frame, if it has one, and where in the content the others are."""

    first: bytes  # header of a frame
    header: Header
    info: bytes | None = None
    promised: int | None = None  # frames
    count: int = 0
    spans: list[list[int]] = field(default_factory=list)

    def add(self, at: int, length: int) -> None:
        self.count += 1
        if self.spans and self.spans[-1][1] == at:
            self.spans[-1][1] = at + length
        else:
            self.spans.append([at, at + length])

    def part(self, content: bytes) -> Part:
        """The file with a true count of frames. Raises AudioError where there were to be more."""
        if self.promised is not None and self.promised > self.count + 1:  # some encoders count the first frame too
            raise AudioError(f"expected {self.promised} MPEG frames as its header says, got {self.count}: truncated")
        frames = b"".join(content[start:end] for start, end in self.spans)
        if self.header.layer != 3:
            return Part(frames)
        if self.info is None or self.promised is None:
            silence = silent_frame(self.first)
            return Part(self._new_info() + silence + frames, self.header.samples - DECODER_DELAY)
        at = tag_position(self.info, self.header) or 0
        return Part(self.info[: at + 8] + self.count.to_bytes(4) + self.info[at + 12 :] + frames)

    def _new_info(self) -> bytes:
        """An information frame. The decoder takes its delay away after one, so a silent frame is to follow."""
        frame = silent_frame(self.first, bitrate=14)  # with room for the tag
        tag = b"Info" + COUNTED.to_bytes(4) + (self.count + 1).to_bytes(4)
        return frame[: self.header.info_at] + tag + frame[self.header.info_at + len(tag) :]


def silent_frame(first: bytes, bitrate: int = 1) -> bytes:
    """A frame of silence, of the same kind as another's header."""
    head = bytes([0xFF, first[1] | 1, bitrate << 4 | first[2] & 0x0C, first[3]])
    header = parse_header(head)
    return head.ljust(header.length if header else 0, b"\0")


def parts(content: bytes, start: int = 0) -> Iterator[Part]:
    """The MPEG files that follow each other in `content` from `start` on, each to be decoded on its own.

    Raises AudioError for a truncated one. What has no frames that can be counted (a free bit rate) comes as it is.
    """
    file: MpegFile | None = None
    for at, header in frames(content, start):
        frame = content[at : at + header.length] if _may_be_info(content, at, header) else b""
        is_info = tag_position(frame, header) is not None or _is_vbri(frame)
        if file is None or is_info or header.kind != file.header.kind or file.count == file.promised:
            if file is not None and (file.count or file.promised):
                yield file.part(content)
            file = MpegFile(content[at : at + 4], header)
        if is_info:
            file.info, file.promised = frame, _frame_count(frame, header)
        else:
            file.add(at, header.length)
    yield Part(content[start:]) if file is None else file.part(content)


def frames(content: bytes, at: int) -> Iterator[tuple[int, Header]]:
    """Where each whole frame is. Tags and damage are passed over: after them, two frames in a row must agree."""
    kind, false_syncs = None, 0
    while at + 4 <= len(content):
        header = parse_header(content[at : at + 4])
        if header and (
            _is_confirmed(content, at, header) or (header.kind == kind and not _is_cut_short(content, at, header))
        ):
            yield at, header
            at, kind = at + header.length, header.kind
        elif content[at : at + 3] == b"ID3":
            at = after_tags(content, at)
        else:
            false_syncs += 1
            sync = SYNC.search(content, at + 1)
            if sync is None or false_syncs > MAX_FALSE_SYNCS:
                return
            at, kind = sync.start(), None


def after_tags(content: bytes, at: int = 0) -> int:
    """Where the audio begins: behind all ID3v2 tags, each with its length in four times seven bits, and zeros."""
    start = at
    for _ in range(MAX_TAGS):
        if content[at : at + 3] != b"ID3" or at + 10 > len(content):
            break
        flags, *size = content[at + 5 : at + 10]
        has_footer = flags & 0x10
        at += 10 + sum((byte & 127) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
        at += 10 if has_footer else 0
    padding = ZEROS.match(content, at)
    return padding.end() if padding and at > start else at


@lru_cache(4096)
def parse_header(head: bytes) -> Header | None:
    """Four bytes that begin a frame, or None where they cannot, or where its bit rate is free."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return None
    is_mpeg1, mono = version == 3, head[3] >> 6 == 3
    bits_per_s, hz = 1000 * BITRATES[is_mpeg1, layer][bitrate - 1], RATES[version][rate]
    slots = {1: 12, 2: 144, 3: 144 if is_mpeg1 else 72}[layer] * bits_per_s // hz + padding
    side_information = (17 if mono else 32) if is_mpeg1 else (9 if mono else 17)
    kind = (head[1] & 0x1E) << 8 | head[2] & 0x0C, mono
    samples = {1: 384, 2: 1152, 3: 1152 if is_mpeg1 else 576}[layer]
    return Header(slots * (4 if layer == 1 else 1), samples, layer, 4 + side_information, kind)


def tag_position(frame: bytes, header: Header) -> int | None:
    """Where the tag of an information frame is: behind the side information, and a checksum where there is one."""
    for at in (header.info_at, header.info_at + 2):
        if frame[at : at + 4] in INFO_TAGS and not any(frame[6:at]):
            return at
    return None


def _may_be_info(content: bytes, at: int, header: Header) -> bool:
    """Whether a frame is of layer 3 and silent where its side information would be."""
    return header.layer == 3 and content[at + 6 : at + 12] == b"\0" * 6


def _is_vbri(frame: bytes) -> bool:
    """Whether it is the information frame of another encoder, always 32 bytes behind the header."""
    return frame[36:40] == b"VBRI"


def _frame_count(frame: bytes, header: Header) -> int | None:
    """How many frames follow an information frame, where it says so."""
    at = tag_position(frame, header)
    if at is None or not frame[at + 7] & COUNTED:
        return None
    return int.from_bytes(frame[at + 8 : at + 12]) or None


def _is_confirmed(content: bytes, at: int, header: Header) -> bool:
    """Whether another frame of the same kind follows, or the end."""
    after = at + header.length
    following = parse_header(content[after : after + 4])
    return after == len(content) or (following is not None and following.kind == header.kind)


def _is_cut_short(content: bytes, at: int, header: Header) -> bool:
    """Whether the content ends within a frame, or another frame begins there: the end of a truncated file."""
    if at + header.length > len(content):
        return True
    for sync in SYNC.finditer(content, at + 1, at + header.length):
        other = parse_header(content[sync.start() : sync.start() + 4])
        if other and other.kind == header.kind and _is_confirmed(content, sync.start(), other):
            return True
    return False
