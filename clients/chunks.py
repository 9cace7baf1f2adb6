"""Blocks of samples gathered into chunks of the length that a server recommends. Knows no server and no clock."""

import numpy as np
import numpy.typing as npt


class ChunkBuffer:
    """Mono blocks in, chunks out that end with a block, as near to the wanted length as the blocks allow."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._samples = 0

    def push(self, block: npt.NDArray[np.int16], chunk_ms: float) -> npt.NDArray[np.int16]:
        """Take one block; the chunk, [samples], if it is long enough now, else none of it."""
        self._blocks.append(block.reshape(-1))
        self._samples += len(block)
        if self._samples + len(block) / 2 >= chunk_ms / 1000 * self._sample_rate:
            return self.flush()
        return np.zeros(0, np.int16)

    def flush(self) -> npt.NDArray[np.int16]:
        """What waits, [samples]."""
        chunk = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)
        self._blocks, self._samples = [], 0
        return chunk
