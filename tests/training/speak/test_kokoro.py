"""Kokoro with a model whose samples show which style, tokens and rate it was run with."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from training.speak.engines import SpeechError, open_engine
from training.speak.kokoro import Kokoro, kokoro_phonemes, tokens_of
from training.speak.voices import Voice

pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")
LENGTH = 2400  # samples of every text


def write_model(path: Path) -> Path:
    """Every sample is the mean of the style divided by the rate; tokens go in and are not looked at."""
    nodes = [
        helper.make_node("ReduceMean", ["style"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "speed"], ["level"]),
        helper.make_node("Expand", ["level", "length"], ["constant"]),
        helper.make_node("ReduceSum", ["tokens"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "zero"], ["nothing"]),
        helper.make_node("Add", ["constant", "nothing"], ["audio"]),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    constants = [
        helper.make_tensor("length", TensorProto.INT64, [1], [LENGTH]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
    ]
    output = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])
    graph = helper.make_graph(nodes, "kokoro", inputs, [output], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Kokoro:
    """`low` has the style 0.001 per token, `high` ten times that."""
    rows = np.arange(1, 511, dtype=np.float32)[:, None, None] * np.ones((1, 1, 256), np.float32)
    with (tmp_path / "voices.bin").open("wb") as file:
        np.savez(file, low=0.001 * rows, high=0.01 * rows)
    return Kokoro(write_model(tmp_path / "kokoro.onnx"), tmp_path / "voices.bin")


@pytest.mark.parametrize(
    ("shares", "rate", "per_token"),
    [([("low", 1.0)], 1.0, 0.001), ([("high", 1.0)], 2.0, 0.005), ([("low", 0.5), ("high", 0.5)], 1.0, 0.0055)],
)
def test_the_style_is_that_of_the_number_of_tokens_mixed_by_shares(
    engine: Kokoro, shares: list[tuple[str, float]], rate: float, per_token: float
) -> None:
    samples = engine.speak("stop", Voice("x", tuple(shares)), rate)
    assert len(samples) == LENGTH * 2 // 3  # 24 to 16 kHz
    tokens = len(tokens_of(kokoro_phonemes("stop", "low")))
    assert samples[len(samples) // 2] == pytest.approx(tokens * per_token, rel=0.01)


def test_american_and_british_voices_have_their_own_phonemes_and_pauses_stay() -> None:
    assert kokoro_phonemes("Go home, now!", "af_sky") == "ɡˌO hˈOm, nˈW!"
    assert kokoro_phonemes("go home", "bm_lewis") == "ɡˌQ hˈQm"
    assert all(len(tokens_of(kokoro_phonemes(word, "af"))) >= 3 for word in ("bird", "judge", "choice", "five"))


def test_voices_are_listed_and_long_text_is_refused(engine: Kokoro) -> None:
    assert engine.voices == ["high", "low"]
    with pytest.raises(SpeechError, match="expected text of 1 to 500 phonemes, got"):
        engine.speak("a very long sentence " * 40, Voice("x", (("low", 1.0),)), 1.0)


def test_missing_and_foreign_files_are_named(tmp_path: Path, engine: Kokoro) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"nothing")
    with pytest.raises(SpeechError, match=f"--voice-model: expected a file or folder, found none: {tmp_path}/none"):
        open_engine("kokoro", tmp_path / "none", foreign)
    with pytest.raises(SpeechError, match="expected Kokoro as ONNX, got another file"):
        open_engine("kokoro", foreign, foreign)
    with pytest.raises(SpeechError, match="expected Kokoro's voices as npz, got another file"):
        open_engine("kokoro", tmp_path / "kokoro.onnx", foreign)
