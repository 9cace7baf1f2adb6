"""MNIST's files, and the paper's code in time; on the real files where they lie."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.paths import DATA
from tests.support.toy_mnist import write_digits, write_idx
from training.data.recordings import DatasetError
from training.paper import mnist

REAL = DATA / "mnist"


def test_images_and_labels_come_in_order(tmp_path: Path) -> None:
    assert not mnist.is_complete(tmp_path)
    write_digits(tmp_path, train=5, test=3)
    assert mnist.is_complete(tmp_path)
    train, test = mnist.read(tmp_path, "train"), mnist.read(tmp_path, "test", 2)
    assert (train.images.shape, train.images.dtype, len(train.labels)) == ((5, 28, 28), torch.uint8, 5)
    assert (len(test.images), len(test.labels), test.labels.dtype) == (2, 2, torch.int64)


def test_darker_pixels_spike_earlier_once_and_blank_ones_never() -> None:
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[0, 0, :6] = torch.tensor([255, 230, 229, 128, 25, 1])
    spikes = mnist.spikes(image)
    assert spikes.shape == (1, 10, 28, 28)
    assert spikes[0, :, 0, :6].argmax(dim=0).tolist() == [0, 0, 1, 4, 9, 9]
    assert spikes.sum(dim=1)[0].tolist() == (image[0] > 0).float().tolist()


def test_every_grade_of_ink_spikes_and_no_step_gets_more_than_its_share() -> None:
    image = torch.arange(784).clamp(max=255).to(torch.uint8).view(1, 28, 28)
    once = mnist.spikes(image).flatten(2)[0, :, :256]
    assert once.sum(dim=0).tolist() == [0.0] + [1.0] * 255
    assert set(once.sum(dim=1).tolist()) == {25.0, 26.0}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no gzip", "expected a gzipped idx file"),
        (gzip.compress(b""), "expected idx bytes of shape"),
        (gzip.compress(bytes([0, 0, 8, 1]) + np.array([5], ">u4").tobytes()), "expected idx bytes of shape"),
        (gzip.compress(bytes([0, 0, 8, 3]) + np.array([2, 28, 28], ">u4").tobytes()), "expected 1568 bytes of values"),
    ],
)
def test_another_file_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    write_digits(tmp_path, train=2, test=2)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        mnist.read(tmp_path, "train")


@pytest.mark.parametrize(("labels", "message"), [([1], "a label for each train image"), ([1, 10], "labels below 10")])
def test_labels_that_do_not_fit_are_refused(labels: list[int], message: str, tmp_path: Path) -> None:
    write_digits(tmp_path, train=2, test=2)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array(labels))
    with pytest.raises(DatasetError, match=message):
        mnist.read(tmp_path, "train")


def test_varied_images_are_rotated_scaled_and_shifted_a_little() -> None:
    """A bar of ink stays one: no ink is gained or lost beyond the scale, and its middle moves by two pixels at most."""
    bar = torch.zeros(200, 28, 28, dtype=torch.uint8)
    bar[:, 8:20, 12:16] = 255
    varied = mnist.varied(bar, torch.Generator().manual_seed(0)).double()
    assert not torch.equal(varied[0], varied[1])
    ink = varied.sum((1, 2)) / bar[0].sum()
    assert 0.78 < ink.min() < 0.9  # 0.9 ** 2, and some for the edges
    assert 1.1 < ink.max() < 1.28  # 1.1 ** -2, and some for the edges
    place = torch.arange(28) - 13.5
    middle = torch.stack([(varied.sum(axis) * place).sum(1) / varied.sum((1, 2)) for axis in (1, 2)])
    assert 1.5 < middle.abs().max() < 2.3


def test_varied_images_are_the_same_with_the_same_generator() -> None:
    images = torch.randint(0, 256, (3, 28, 28), generator=torch.Generator().manual_seed(1)).byte()
    first, again = (mnist.varied(images, torch.Generator().manual_seed(2)) for _ in range(2))
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)


@pytest.mark.skipif(not mnist.is_complete(REAL), reason="no MNIST here")
def test_the_real_files() -> None:
    train, test = mnist.read(REAL, "train"), mnist.read(REAL, "test")
    assert (len(train.labels), len(test.labels)) == (60_000, 10_000)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert 0.05 < mnist.spikes(test.images[:500])[:, 0].mean() < 0.15
