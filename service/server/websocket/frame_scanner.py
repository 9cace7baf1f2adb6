"""Where the frames of a WebSocket begin and end, and the payload of those that hold audio (RFC 6455, section 5.2).

Judges nothing: whatever is not a whole binary message in one short frame is for the WebSocket library.
"""

from websockets.frames import Opcode, apply_mask  # type: ignore[attr-defined] # compiled, where it can be

FINAL, MASKED = 0x80, 0x80
BINARY = FINAL | Opcode.BINARY  # the first byte of a whole binary message without extensions
LONGEST_HEADER = 14  # bytes


class FrameScanner:
    """Follows all that a client sends, by the header of every frame, however they are cut."""

    def __init__(self) -> None:
        self.between_messages = True  # the next byte begins a frame, and that frame a message
        self._header = b""  # the header of a frame, as far as it has been received
        self._payload_left = 0  # bytes of a frame that are still to come
        self._fragmented = False  # more frames of a message are still to come
        self._closed = False

    def binary_message(self, data: bytes, start: int) -> tuple[bytes, int] | None:
        """The payload of the binary message that begins at `start`, and where it ends.

        None unless all of it is there, masked, in one frame, and shorter than 64 KiB.
        """
        if not self.between_messages or len(data) < start + 4 or data[start] != BINARY or not data[start + 1] & MASKED:
            return None
        size = data[start + 1] ^ MASKED
        start += 2
        if size == 127:
            return None
        if size == 126:
            size, start = data[start] << 8 | data[start + 1], start + 2
        end = start + 4 + size
        if end > len(data):
            return None
        return apply_mask(data[start + 4 : end], data[start : start + 4]), end

    def follow(self, data: bytes) -> None:
        """See what goes to the library."""
        start = 0
        while start < len(data):
            if self._payload_left:
                step = min(self._payload_left, len(data) - start)
                self._payload_left -= step
                start += step
            else:
                start += self._read_header(data[start : start + LONGEST_HEADER - len(self._header)])
        self.between_messages = not (self._header or self._payload_left or self._fragmented or self._closed)

    def _read_header(self, data: bytes) -> int:
        """How many of these bytes are of the header."""
        before, header = len(self._header), self._header + data
        code = header[1] & 0x7F if len(header) > 1 else 0
        extended = {126: 2, 127: 8}.get(code, 0)
        size = 2 + extended + (4 if len(header) > 1 and header[1] & MASKED else 0)
        if len(header) < size:
            self._header = header
            return len(data)
        self._header = b""
        self._payload_left = int.from_bytes(header[2 : 2 + extended]) if extended else code
        opcode = header[0] & 0x0F
        if opcode < Opcode.CLOSE:  # control frames may come between the fragments of a message
            self._fragmented = not header[0] & FINAL
        self._closed |= opcode == Opcode.CLOSE
        return size - before
