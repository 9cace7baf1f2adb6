"""Features of any part are those of the whole; an epoch has all keywords and enough batches."""

import torch

from training.data.augment import Augmenter, AugmentSettings
from training.data.batches import EpochSampler, LazyFeatures
from training.model.frontend import FrontEndSettings, LogMel


def test_any_part_equals_the_same_part_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(1)
    samples = torch.randn(6, 4800, generator=generator) * 0.1
    augmenter = Augmenter(AugmentSettings(), torch.zeros(9000), torch.ones(1, 1), generator)
    features = LazyFeatures(samples, augmenter.masks(6, 30, 20), LogMel(FrontEndSettings()))
    whole, rows = features[:, :], torch.tensor([4, 0, 3])
    assert whole.shape == features.shape == (6, 30, 20)
    assert (whole == 0).any()
    for start, stop in ((0, 7), (7, 8), (8, 50)):
        torch.testing.assert_close(features[rows, start:stop], whole[rows, start:stop], atol=1e-5, rtol=1e-4)


def test_an_epoch_has_every_keyword_and_at_most_as_many_others() -> None:
    is_keyword = torch.arange(100) < 20
    sampler, generator = EpochSampler(is_keyword, batch=8, min_batches=1), torch.Generator().manual_seed(0)
    epochs = [torch.cat(sampler.epoch(generator)) for _ in range(2)]
    for rows in epochs:
        assert (sampler.batches, len(rows)) == (5, 40)
        assert rows[is_keyword[rows]].sort().values.tolist() == list(range(20))
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())


def test_few_clips_are_repeated_until_there_are_enough_batches() -> None:
    sampler = EpochSampler(torch.tensor([True, True, True, False]), batch=8, min_batches=3)
    rows = torch.cat(sampler.epoch(torch.Generator().manual_seed(0)))
    assert (sampler.batches, len(rows)) == (3, 24)
    assert torch.bincount(rows).tolist() == [6, 6, 6, 6]
