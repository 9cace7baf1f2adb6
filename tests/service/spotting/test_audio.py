import numpy as np
import pytest

from service.spotting.audio import AudioError, Resampler, check_amplitude
from tests.support.sound_files import tone


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 47999, 48000])
@pytest.mark.parametrize("chunk", [1, 7, 160, 1600])
def test_resampling_in_any_pieces_is_resampling_the_whole(rate: int, chunk: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, rate // 4).astype(np.float32)
    whole, pieces = Resampler(rate, 16000), Resampler(rate, 16000)
    expected = np.concatenate([whole.push(samples), whole.flush()])
    parts = [pieces.push(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    np.testing.assert_array_equal(np.concatenate([*parts, pieces.flush()]), expected)
    assert abs(len(expected) - 4000) <= 1


@pytest.mark.parametrize(("rate", "delay_ms"), [(48000, 13), (44100, 14), (8000, 31)])
def test_resampling_holds_back_little_and_always_the_same(rate: int, delay_ms: float) -> None:
    resampler, out = Resampler(rate, 16000), 0
    for pieces in range(1, 101):
        out += len(resampler.push(np.zeros(rate // 100, np.float32)))
        assert pieces * 160 - out <= delay_ms * 16


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_resampling_keeps_time_and_level_and_takes_away_what_16_khz_cannot_hold(rate: int) -> None:
    resampler = Resampler(rate, 16000)
    got = np.concatenate([resampler.push(tone(rate)), resampler.flush()])
    middle = slice(1000, 7000)
    lag = 4  # samples, a quarter of a millisecond
    off = min(np.abs(np.roll(got, shift)[middle] - tone(16000)[middle]).max() for shift in range(-lag, lag + 1))
    assert off < 0.06
    if rate == 48000:
        above = Resampler(rate, 16000).push(tone(rate, hz=9000))
        assert np.abs(above[1000:7000]).max() < 1e-3


def test_a_reset_and_a_flush_start_a_new_stream() -> None:
    samples = tone(48000)
    resampler = Resampler(48000, 16000)
    expected = np.concatenate([resampler.push(samples), resampler.flush()])
    np.testing.assert_array_equal(np.concatenate([resampler.push(samples), resampler.flush()]), expected)
    resampler.push(samples)
    resampler.reset()
    np.testing.assert_array_equal(np.concatenate([resampler.push(samples), resampler.flush()]), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32767])
def test_numbers_that_are_not_audio_are_refused(value: float) -> None:
    with pytest.raises(AudioError, match=r"expected samples within \+-8 where full scale is 1, got (nan|inf|32767)"):
        check_amplitude(np.array([0, value, 0], np.float32))
