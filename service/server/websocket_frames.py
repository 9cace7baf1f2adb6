"""The frames that audio comes in, read without the generality of a whole parser. Pure.

RFC 6455, section 5.2. What is not exactly such a frame is for the WebSocket library to judge.
"""

from websockets.frames import apply_mask  # type: ignore[attr-defined] # compiled, where it can be

BINARY = 0x82  # final, no extension, binary
MASKED = 0x80


def binary_frame(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The payload of the masked binary frame that begins at `start`, and where it ends.

    None unless all of it is there, whole in one frame, and shorter than 64 KiB.
    """
    if len(data) < start + 2 or data[start] != BINARY or not data[start + 1] & MASKED:
        return None
    size = data[start + 1] ^ MASKED
    start += 2
    if size == 127:
        return None
    if size == 126:
        size, start = int.from_bytes(data[start : start + 2]), start + 2
    end = start + 4 + size
    if end > len(data):
        return None
    return apply_mask(data[start + 4 : end], data[start : start + 4]), end
