"""Binary messages of a shared socket: blocks of audio, each with the id of its stream in front."""

from struct import Struct

from service.spotting.config import ProtocolError

HEADER = Struct("<II")  # id of the stream, bytes of audio
MAX_ID = 2**32 - 1

AudioBlock = tuple[int, bytes]  # id of the stream, audio


def split_blocks(data: bytes) -> list[AudioBlock]:
    """The blocks of a message, in order. Raises ProtocolError unless the last one ends where the message ends."""
    blocks, start = [], 0
    while start < len(data):
        audio = start + HEADER.size
        if audio > len(data):
            got = len(data) - start
            raise ProtocolError(
                "bad_message", f"byte {start}: expected a block's header of {HEADER.size} bytes, got {got}"
            )
        stream, size = HEADER.unpack_from(data, start)
        start = audio + size
        if start > len(data):
            got = len(data) - audio
            raise ProtocolError("bad_message", f"block of stream {stream}: expected {size} bytes of audio, got {got}")
        blocks.append((stream, data[audio:start]))
    return blocks
