"""Ten made-up digits as MNIST's four files: a pattern of ink each, of which every image lacks some pixels."""

import gzip
from pathlib import Path

import numpy as np


def write_digits(folder: Path, train: int = 200, test: int = 100) -> Path:
    """Ink of all grades, so that a few pixels spike at the first step and the rest as time goes on."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(1, 256, (10, 28, 28)) * (rng.random((10, 28, 28)) < 0.3)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("t10k", test)):
        labels = rng.integers(0, 10, count)
        images = patterns[labels] * (rng.random((count, 28, 28)) < 0.5)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))
