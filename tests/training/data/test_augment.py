"""Augmentation does what its settings say, and the same for the same seed."""

from dataclasses import replace

import pytest
import torch

from training.data.augment import Augmenter, AugmentSettings, resample, rms, warp_bands

NONE = AugmentSettings().at(0.0)


def augmenter(settings: AugmentSettings, seed: int = 0) -> Augmenter:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(40_000, generator=torch.Generator().manual_seed(9)).half()
    echo = torch.zeros(1, 800)
    echo[0, 0], echo[0, 400] = 0.8, 0.6
    return Augmenter(settings, noise, echo, generator)


def tones(batch: int = 4) -> torch.Tensor:
    time = torch.arange(16_000) / 16_000
    return 0.1 * torch.sin(2 * torch.pi * 440 * time).repeat(batch, 1)


def test_strength_0_changes_nothing() -> None:
    clips = tones()
    torch.testing.assert_close(augmenter(NONE).samples(clips), clips, atol=1e-5, rtol=0)
    features = torch.randn(4, 100, 20)
    masks = augmenter(NONE).masks(4, 100, 20)
    assert masks(features, slice(None), slice(None)) is features


def test_strength_1_is_the_settings_themselves() -> None:
    assert AugmentSettings().at(1.0) == AugmentSettings()


def test_a_seed_reproduces_and_another_differs() -> None:
    first, second, third = (augmenter(AugmentSettings(), seed).samples(tones()) for seed in (1, 1, 2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert not torch.allclose(first, third, atol=1e-3)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_comes_at_the_snr_asked_for(snr_db: float) -> None:
    clips = tones()
    noisy = augmenter(replace(NONE, noise=1.0, snr_db=(snr_db, snr_db))).samples(clips)
    measured = 20 * torch.log10(rms(clips) / rms(noisy - clips))
    torch.testing.assert_close(measured, torch.full((4,), snr_db), atol=0.3, rtol=0)


def test_gain_stays_in_range_and_clips_at_full_scale() -> None:
    louder = augmenter(replace(NONE, gain_db=(40.0, 40.0))).samples(tones())
    assert louder.abs().max() == 1.0
    quieter = augmenter(replace(NONE, gain_db=(-20.0, -20.0))).samples(tones())
    torch.testing.assert_close(quieter, tones() * 0.1, atol=1e-5, rtol=0)


def test_a_room_adds_its_echo() -> None:
    click = torch.zeros(2, 16_000)
    click[:, 1000] = 0.5
    echoed = augmenter(replace(NONE, room=1.0)).samples(click)
    torch.testing.assert_close(echoed[:, [1000, 1400]], torch.tensor([[0.4, 0.3]] * 2), atol=1e-4, rtol=0)


def test_resample_shifts_and_stretches() -> None:
    clips = torch.zeros(2, 1001)
    clips[:, 600] = 1.0
    moved = resample(clips, torch.tensor([1.0, 2.0]), torch.tensor([10.0, 0.0]))
    assert moved.argmax(dim=1).tolist() == [610, 550]


def test_warp_moves_bands() -> None:
    features = torch.zeros(1, 3, 40)
    features[:, :, 20] = 1
    assert warp_bands(features, torch.tensor([1.25])).argmax(dim=2).unique().tolist() == [16]


def test_masks_are_no_wider_than_asked() -> None:
    features = torch.ones(200, 100, 40)
    masks = augmenter(replace(NONE, band_mask=5.0, time_mask=7.0)).masks(200, 100, 40)
    masked = masks(features, slice(None), slice(None)) == 0
    assert masked.all(dim=1).sum(dim=1).max() == 5
    assert masked.all(dim=2).sum(dim=1).max() == 7


def test_silence_has_levels_from_nothing_up() -> None:
    level = 20 * torch.log10(rms(augmenter(AugmentSettings()).silence(200, 16_000)))
    assert level.min() < -80
    assert -25 < level.max() < -19
