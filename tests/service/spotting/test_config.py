import json

import numpy as np
import pytest

from service.spotting.audio import to_float
from service.spotting.config import ConfigWarning, ProtocolError, StreamConfig, parse_config
from service.spotting.pcm import PcmDecoder
from tests.support.tone_model import LABELS, METADATA


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("encoding", "dtype"), [("pcm_s16le", "<i2"), ("pcm_f32le", "<f4"), ("pcm_mulaw", "u1")])
def test_bytes_in_any_pieces_are_the_same_samples(encoding: str, dtype: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    data = (rng.uniform(-1, 1, 600) * (1 if dtype == "<f4" else 100)).astype(dtype).tobytes()
    expected = PcmDecoder(encoding, channels).push(data)
    decoder = PcmDecoder(encoding, channels)
    pieces = [decoder.push(data[start : start + 3]) for start in range(0, len(data), 3)]
    np.testing.assert_array_equal(np.concatenate(pieces), expected)
    assert len(expected) == 600 // channels
    assert expected.dtype == (np.int16 if (encoding, channels) == ("pcm_s16le", 1) else np.float32)


def test_samples_have_full_scale_1() -> None:
    s16 = np.array([-32768, 16384, 0], "<i2").tobytes()
    assert to_float(PcmDecoder("pcm_s16le", 1).push(s16)).tolist() == [-1, 0.5, 0]
    f32 = np.array([-1, 0.25, 1.5], "<f4").tobytes()
    assert PcmDecoder("pcm_f32le", 1).push(f32).tolist() == [-1, 0.25, 1.5]


def test_channels_are_averaged() -> None:
    stereo = np.array([[16384, 0], [-16384, 16384]], "<i2").tobytes()
    assert PcmDecoder("pcm_s16le", 2).push(stereo).tolist() == [0.25, 0]


def test_mulaw_is_g711() -> None:
    """Codes and samples of the ITU table: the largest of both signs, the smallest, and some between."""
    codes = bytes([0x00, 0x80, 0xFF, 0x7F, 0xF0, 0x8F, 0x2A])
    expected = [-32124, 32124, 0, 0, 120, 16764, -5372]
    assert (PcmDecoder("pcm_mulaw", 1).push(codes) * 32768).tolist() == expected


def test_half_a_sample_waits_until_reset() -> None:
    decoder = PcmDecoder("pcm_s16le", 1)
    assert decoder.push(b"\0\x40\0").tolist() == [0x4000]
    assert decoder.waiting_bytes == 1
    assert decoder.push(b"\x40").tolist() == [0x4000]
    decoder.push(b"\1")
    decoder.reset()
    assert (decoder.waiting_bytes, decoder.push(b"\0\x40").tolist()) == (0, [0x4000])


def test_a_query_string_means_what_a_message_means() -> None:
    message = {"sample_rate": 8000, "keywords": ["yes", "no"], "threshold": {"yes": 0.5}, "refractory_s": 0.1}
    query = {"sample_rate": "8000", "keywords": "yes,no", "threshold": json.dumps({"yes": 0.5}), "refractory_s": "0.1"}
    assert parse_config(message) == parse_config(query)
    assert parse_config({"threshold": "0.75"})[0].threshold == 0.75


def test_unknown_keys_are_warnings() -> None:
    config, warnings = parse_config({"treshold": 0.5, "mode": "utterance"})
    assert config == StreamConfig(mode="utterance")
    assert warnings == [ConfigWarning("unknown_key", "treshold")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 7999}, "sample_rate: expected 8000 to 48000, got 7999"),
        ({"sample_rate": "16k"}, "sample_rate: expected 8000 to 48000, got '16k'"),
        ({"channels": 0}, "channels: expected 1 or 2, got 0"),
        ({"keywords": []}, "keywords: expected a list of the model's keywords, got []"),
        ({"threshold": "[" * 100_000}, "threshold: expected a number above 0, at most 1, or an object"),
        ({"threshold": "9" * 5000}, "threshold: expected a number above 0, at most 1, or an object"),
        ({"threshold": "high"}, "threshold: expected a number above 0, at most 1, or an object"),
        ({"threshold": {"yes": 0}}, "threshold: expected a number above 0, at most 1, or an object"),
        ({"threshold": float("nan")}, "threshold: expected a number above 0, at most 1, or an object"),
        ({"refractory_s": float("inf")}, "refractory_s: expected 0 to 60, got inf"),
        ({"scores_every_ms": -5}, "scores_every_ms: expected 0 to 60000, got -5"),
        ({"mode": None}, "mode: expected continuous or utterance, got None"),
    ],
)
def test_wrong_values_say_expected_and_got(values: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_config(values)
    assert str(refused.value).startswith(message)
    assert refused.value.code == "bad_value"


def test_what_is_not_set_comes_from_the_model() -> None:
    config = StreamConfig().resolved(METADATA)
    assert (config.model, config.keywords, config.refractory_s) == ("tones", ("yes", "no"), 0.2)
    assert config.threshold == METADATA.speeds["balanced"]["continuous"]


def test_thresholds_override_those_of_the_speed() -> None:
    fast = METADATA.speeds["fast"]["continuous"]
    assert StreamConfig(speed="fast").resolved(METADATA).threshold == fast
    assert StreamConfig(speed="fast", threshold={"no": 0.5}).resolved(METADATA).threshold == {**fast, "no": 0.5}
    assert StreamConfig(threshold=0.75).resolved(METADATA).threshold == dict.fromkeys(LABELS, 0.75)
    assert StreamConfig(threshold=1).resolved(METADATA).threshold == dict.fromkeys(LABELS, 1.0)


def test_an_update_keeps_the_rest_and_a_speed_ends_a_threshold() -> None:
    config = StreamConfig(sample_rate=8000, threshold=0.75, keywords=("no",))
    assert config.updated({"refractory_s": 1})[0] == config.model_copy(update={"refractory_s": 1.0})
    assert config.updated({"speed": "fast"})[0] == config.model_copy(update={"speed": "fast", "threshold": None})
    both = config.updated({"speed": "fast", "threshold": 0.25})[0]
    assert both == config.model_copy(update={"speed": "fast", "threshold": 0.25})
