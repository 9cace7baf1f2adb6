"""Blocks of audio in a binary message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.server.websocket.audio_blocks import MAX_ID, split_blocks
from service.spotting.config import ProtocolError
from tests.support.ws_client import block


@given(st.lists(st.tuples(st.integers(0, MAX_ID), st.binary(max_size=20)), max_size=6))
def test_a_message_is_cut_into_the_blocks_that_it_was_made_of(blocks: list[tuple[int, bytes]]) -> None:
    assert split_blocks(b"".join(block(*parts) for parts in blocks)) == blocks


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x01", "byte 0: expected a block's header of 8 bytes, got 1"),
        (block(3, b"ab") + b"\0" * 7, "byte 10: expected a block's header of 8 bytes, got 7"),
        (block(3, b"abcd")[:-1], "block of stream 3: expected 4 bytes of audio, got 3"),
        (b"\xff" * 8, "block of stream 4294967295: expected 4294967295 bytes of audio, got 0"),
    ],
)
def test_a_message_that_ends_inside_a_block_is_an_error(message: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as error:
        split_blocks(message)
    assert (error.value.code, str(error.value)) == ("bad_message", reason)
