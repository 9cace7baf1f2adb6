"""Features made piece by piece are those of the whole."""

import torch

from training.augment import Augmenter, AugmentSettings
from training.batches import Features
from training.frontend import FrontEndSettings, LogMel


def test_any_piece_equals_the_same_part_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(1)
    samples = torch.randn(6, 4800, generator=generator) * 0.1
    augmenter = Augmenter(AugmentSettings(), torch.zeros(9000), torch.ones(1, 1), generator)
    features = Features(samples, augmenter.masks(6, 30, 20), LogMel(FrontEndSettings()))
    whole, rows = features[:, :], torch.tensor([4, 0, 3])
    assert whole.shape == features.shape == (6, 30, 20)
    assert (whole == 0).any()
    for start, stop in ((0, 7), (7, 8), (8, 50)):
        torch.testing.assert_close(features[rows, start:stop], whole[rows, start:stop], atol=1e-5, rtol=1e-4)
