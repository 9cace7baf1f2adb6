"""Blocks gathered into chunks."""

import numpy as np
import pytest

from clients.chunks import ChunkBuffer


@pytest.mark.parametrize(
    ("chunk_ms", "sizes"),
    [
        (0, [320] * 7),
        (20, [320] * 7),
        (40, [640, 640, 640, 320]),
        (50, [640, 640, 640, 320]),  # the nearest that whole blocks make
        (51, [960, 960, 320]),
        (100, [1600, 640]),
        (1000, [2240]),
    ],
)
def test_blocks_are_gathered_and_none_is_lost(chunk_ms: float, sizes: list[int]) -> None:
    samples = np.arange(7 * 320, dtype=np.int16)
    buffer = ChunkBuffer(16000)
    chunks = [buffer.push(block, chunk_ms) for block in samples.reshape(7, 320, 1)]
    chunks = [chunk for chunk in [*chunks, buffer.flush()] if len(chunk)]
    assert [len(chunk) for chunk in chunks] == sizes
    assert np.array_equal(np.concatenate(chunks), samples)
