"""MNIST: its four files, and their images varied a little and as spikes in time. Knows nothing of networks.

Section 3.3 of the paper: each pixel spikes once in ten steps, darker ones (more ink) earlier. Of what the paper leaves
open: the 255 grades of ink share the steps evenly, and a pixel without ink never spikes, as in the code of Comşa et al.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.data.recordings import DatasetError

STEPS, LABELS, EDGE = 10, 10, 28
MAX_ROTATION, MAX_SCALE, MAX_SHIFT = 10, 0.1, 2  # limits for varied images: degrees, share, pixels
FILES = {"train": "train-{}.gz", "test": "t10k-{}.gz"}
IMAGES, LABEL_LIST = "images-idx3-ubyte", "labels-idx1-ubyte"


class Digits(NamedTuple):
    images: Tensor  # uint8 [images, 28, 28], 255 is full ink
    labels: Tensor  # int64 [images]


def is_complete(folder: Path) -> bool:
    """Whether all four files are there."""
    return all((folder / name.format(part)).exists() for name in FILES.values() for part in (IMAGES, LABEL_LIST))


def read(folder: Path, split: str, count: int | None = None) -> Digits:
    """The first `count` images of a split, train or test, or all of them."""
    images = read_idx(folder / FILES[split].format(IMAGES), (EDGE, EDGE))
    labels = read_idx(folder / FILES[split].format(LABEL_LIST), ())
    if len(images) != len(labels):
        raise DatasetError(f"{folder}: expected a label for each {split} image, got {len(labels)} for {len(images)}")
    if len(labels) and labels.max() >= LABELS:
        raise DatasetError(f"{folder}: expected {split} labels below {LABELS}, got {labels.max()}")
    return Digits(images[:count], labels[:count].long())


def read_idx(path: Path, shape: tuple[int, ...]) -> Tensor:
    """A gzipped idx file of bytes: two zeros, type 8, the number of axes, their lengths, the values."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: expected a gzipped idx file, got {error}") from error
    axes = 1 + len(shape)
    lengths = np.frombuffer(data[4 : 4 + 4 * axes], ">u4").tolist() if len(data) >= 4 + 4 * axes else []
    if data[:4] != bytes([0, 0, 8, axes]) or tuple(lengths[1:]) != shape:
        raise DatasetError(
            f"{path}: expected idx bytes of shape [any, {', '.join(map(str, shape))}], got {data[:16]!r}"
        )
    values = np.frombuffer(data[4 + 4 * axes :], np.uint8)
    if len(values) != np.prod(lengths):
        raise DatasetError(f"{path}: expected {np.prod(lengths)} bytes of values, got {len(values)}")
    return torch.from_numpy(values.reshape(lengths).copy())


def spike_step(images: Tensor) -> Tensor:
    """The step at which each pixel of images of bytes spikes, same shape; STEPS, which is none, without ink."""
    return (255 - images.long()) * STEPS // 255


def spikes(images: Tensor) -> Tensor:
    """Images [batch, 28, 28] of bytes → zeros and ones [batch, 10, 28, 28]: one at the step at which a pixel spikes."""
    return (spike_step(images).unsqueeze(1) == torch.arange(STEPS).view(-1, 1, 1)).float()


def varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images [batch, 28, 28] of bytes, each rotated, scaled and shifted at random."""
    rotation, scale, right, down = 2 * torch.rand(4, len(images), generator=generator) - 1
    size = 1 + MAX_SCALE * scale
    angle, pixel = math.radians(MAX_ROTATION) * rotation, 2 / EDGE  # the grid is two wide
    cos, sin = size * angle.cos(), size * angle.sin()
    rows = torch.stack([cos, -sin, MAX_SHIFT * pixel * right]), torch.stack([sin, cos, MAX_SHIFT * pixel * down])
    grid = affine_grid(torch.stack(rows).permute(2, 0, 1), [len(images), 1, EDGE, EDGE], align_corners=False)
    moved = grid_sample(images.unsqueeze(1).float(), grid, mode="bicubic", align_corners=False)
    return moved.squeeze(1).round().clamp(0, 255).byte()
