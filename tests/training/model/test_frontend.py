"""The front-end against librosa, and under any cut of its input."""

import librosa
import numpy as np
import pytest
import torch

from training.model.frontend import (
    LOG_FLOOR,
    NO_OFFSET_HZ,
    SAMPLE_RATE,
    SMOOTHING,
    FrontEndSettings,
    LogMel,
    front_end_of,
    running_floor,
)

HOP = 160
PCEN = FrontEndSettings(low_hz=NO_OFFSET_HZ, pcen=True)
BOTH = pytest.mark.parametrize("settings", [FrontEndSettings(), PCEN], ids=["log", "pcen"])


def sweep(seconds: float = 1.0) -> torch.Tensor:
    """A rising tone in faint noise, [1, samples]."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    return torch.tensor(0.3 * np.sin(2 * np.pi * (200 + 3000 * time) * time) + 0.01 * noise, dtype=torch.float32)[None]


@pytest.mark.parametrize("settings", [FrontEndSettings(), FrontEndSettings(bands=40), FrontEndSettings(window=480)])
def test_equals_librosa(settings: FrontEndSettings) -> None:
    audio = sweep()
    front_end = LogMel(settings)
    features, _ = front_end(audio, front_end.initial_state(1))
    centred, _ = front_end.without_offset(audio, front_end.initial_state(1)["offset"])
    before = np.zeros(settings.window - settings.hop, np.float32)
    reference = librosa.feature.melspectrogram(
        y=np.concatenate([before, centred[0].numpy()]), sr=SAMPLE_RATE, n_fft=settings.window, hop_length=settings.hop,
        win_length=settings.window, window="hamming", center=False, power=2.0, n_mels=settings.bands,
        fmin=settings.low_hz, fmax=settings.high_hz, htk=True, norm=None,
    )  # fmt: skip
    assert features.shape == (1, 100, settings.bands)
    np.testing.assert_allclose(features[0].numpy(), np.log(reference.T + LOG_FLOOR), atol=2e-3)


@BOTH
@pytest.mark.parametrize("frames", [1, 3, 10, 50])
def test_chunks_equal_the_whole(frames: int, settings: FrontEndSettings) -> None:
    audio, front_end = sweep(), front_end_of(settings)
    whole, _ = front_end(audio, front_end.initial_state(1))
    state, parts = front_end.initial_state(1), []
    for piece in audio.split(frames * HOP, dim=1):
        features, state = front_end(piece, state)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=0)


@BOTH
def test_later_audio_never_changes_earlier_frames(settings: FrontEndSettings) -> None:
    audio, front_end = sweep(), front_end_of(settings)
    other = audio.clone()
    other[:, 40 * HOP :] = 0
    first, _ = front_end(audio, front_end.initial_state(1))
    second, _ = front_end(other, front_end.initial_state(1))
    torch.testing.assert_close(first[:, :40], second[:, :40], atol=1e-5, rtol=0)
    assert not torch.allclose(first[:, 40:], second[:, 40:])


def test_normalised_features_have_mean_0_and_deviation_1() -> None:
    audio, front_end = sweep(), LogMel(FrontEndSettings())
    front_end.normalise(front_end(audio, front_end.initial_state(1))[0])
    features, _ = front_end(audio, front_end.initial_state(1))
    torch.testing.assert_close(features.mean(dim=(0, 1)), torch.zeros(20), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(dim=1)[0], torch.ones(20), atol=1e-3, rtol=0)


def test_the_floor_of_pcen_equals_its_recurrence() -> None:
    energies = torch.rand(2, 50, 3) + 0.01
    floor = energies[:, 0]
    floors = running_floor(energies, torch.zeros(2, 3))
    for frame in range(50):
        floor = (1 - SMOOTHING) * floor + SMOOTHING * energies[:, frame]
        torch.testing.assert_close(floors[:, frame], floor)


@BOTH
@pytest.mark.parametrize("offset", [0.02, -0.05])
def test_a_constant_offset_changes_nothing(settings: FrontEndSettings, offset: float) -> None:
    """From the first frame on, and when silence follows the end of the audio."""
    audio, front_end = sweep(), front_end_of(settings)
    end = torch.zeros(1, 10 * HOP + 40)
    features, _ = front_end(torch.cat([audio[:, :-40], end], dim=1), front_end.initial_state(1))
    moved, _ = front_end(torch.cat([audio[:, :-40] + offset, end], dim=1), front_end.initial_state(1))
    torch.testing.assert_close(moved, features, atol=0.05, rtol=0)


def change_at_minus_35_db(settings: FrontEndSettings) -> float:
    """Mean change of the normalised features of a sweep when it is played 35 dB quieter."""
    audio, front_end = sweep(), front_end_of(settings)
    front_end.normalise(front_end(audio, front_end.initial_state(1))[0])
    loud, _ = front_end(audio, front_end.initial_state(1))
    quiet, _ = front_end(audio * 10 ** (-35 / 20), front_end.initial_state(1))
    return float((loud - quiet).abs().mean())


def test_pcen_depends_little_on_the_level() -> None:
    assert change_at_minus_35_db(PCEN) < 0.3
    assert change_at_minus_35_db(FrontEndSettings()) > 3


def test_pcen_takes_faint_hiss_for_silence() -> None:
    front_end = front_end_of(PCEN)
    hiss = 10 ** (-100 / 20) * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    features = [front_end(audio, front_end.initial_state(1))[0] for audio in (hiss, torch.zeros_like(hiss))]
    torch.testing.assert_close(*features, atol=0.02, rtol=0)


def test_a_matrix_product_equals_the_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    audio, front_end = sweep(), LogMel(FrontEndSettings())
    fft, _ = front_end(audio, front_end.initial_state(1))
    monkeypatch.setattr("torch.onnx.is_in_onnx_export", lambda: True)
    product, _ = front_end(audio, front_end.initial_state(1))
    torch.testing.assert_close(product, fft, atol=2e-3, rtol=0)
