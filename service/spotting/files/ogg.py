"""Ogg files that hold several streams one after another, as the format allows and `cat a.ogg b.ogg` makes them."""

import struct
from collections.abc import Iterator

from service.spotting.files.header import OGG
from service.spotting.files.part import Part

HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, position, serial, number, checksum, lacing values
FIRST_PAGE = 2  # flag of the first page of a logical stream


def parts(content: bytes) -> Iterator[Part]:
    """The physical streams of a chain; libsndfile decodes the first of them only."""
    start, in_headers = 0, True
    for at, is_first in pages(content):
        if is_first and not in_headers:
            yield Part(content[start:at])
            start = at
        in_headers = is_first
    yield Part(content[start:])


def pages(content: bytes) -> Iterator[tuple[int, bool]]:
    """Where each page starts, and whether it begins a logical stream; damage between pages is passed over."""
    at = 0
    while (at := content.find(OGG, at)) >= 0 and at + HEADER.size <= len(content):
        _, _, flags, *_, count = HEADER.unpack_from(content, at)
        yield at, bool(flags & FIRST_PAGE)
        body = at + HEADER.size
        at = body + count + sum(content[body : body + count])
