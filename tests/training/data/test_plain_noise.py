"""Noise of a program, where there are no recordings of any."""

from pathlib import Path

import numpy as np
import pytest

from training.data.plain_noise import write_plain_noise
from training.data.recordings import read_recordings


def test_every_split_gets_files_of_its_own(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_plain_noise(tmp_path, split)
        recordings = read_recordings([tmp_path], split)
        assert len(recordings) == 3
        assert all(np.sqrt(np.square(noise).mean()) == pytest.approx(0.05, rel=0.05) for noise in recordings)
    assert len(list(tmp_path.iterdir())) == 9
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 9
