"""Frames of audio, against the library's own."""

from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from service.server.websocket_frames import binary_frame


def wire(data: bytes, opcode: Opcode = Opcode.BINARY, **more: Any) -> bytes:
    return Frame(opcode, data, **more).serialize(mask=True)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 640, 65535])
def test_a_whole_frame_gives_its_payload_and_its_end(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    data = b"before" + wire(payload) + b"after"
    assert binary_frame(data, 6) == (payload, len(data) - 5)


def test_a_frame_that_is_cut_anywhere_is_left_alone() -> None:
    for size in (5, 200):
        data = wire(bytes(size))
        assert [binary_frame(data[:cut], 0) for cut in range(len(data))] == [None] * len(data)


def test_frames_of_any_other_kind_are_left_alone() -> None:
    others = [
        wire(b"{}", Opcode.TEXT),
        wire(b"x", Opcode.PING),
        wire(b"", Opcode.CLOSE),
        wire(b"part", fin=False),
        wire(b"rest", Opcode.CONT),
        b"\xc2" + wire(b"extended")[1:],
        wire(bytes(65536)),
        Frame(Opcode.BINARY, b"not masked").serialize(mask=False),
    ]
    assert [binary_frame(data, 0) for data in others] == [None] * len(others)
