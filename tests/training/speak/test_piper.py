"""Piper with a model whose samples show its tokens, speaker and length scale."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from training.speak.engines import SpeechError, open_engine
from training.speak.voices import Voice

pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")
IDS = {"_": [0], "^": [1], "$": [2], "s": [5], "t": [6], "p": [7]}


def write_voice(folder: Path, name: str, speakers: int) -> None:
    """Samples are the tokens, plus 100 times the speaker, times the length scale, each 600 times."""
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Cast", ["input"], ["tokens"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "one"], ["scale"]),
    ]
    last = "tokens"
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["speaker", "hundred"], ["hundreds"]),
            helper.make_node("Add", ["tokens", "hundreds"], ["sum"]),
        ]
        last = "sum"
    nodes += [
        helper.make_node("Mul", [last, "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["column"]),
        helper.make_node("Tile", ["column", "repeats"], ["output"]),
    ]
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [], [1]),
        helper.make_tensor("hundred", TensorProto.FLOAT, [], [100.0]),
        helper.make_tensor("repeats", TensorProto.INT64, [2], [1, 600]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["a", "b"])
    graph = helper.make_graph(nodes, "piper", inputs, [output], constants)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / f"{name}.onnx"
    )
    config = {
        "audio": {"sample_rate": 16_000}, "espeak": {"voice": "en-us"}, "phoneme_id_map": IDS, "num_speakers": speakers,
    }  # fmt: skip
    (folder / f"{name}.onnx.json").write_text(json.dumps(config))


def test_tokens_have_pads_between_and_speakers_are_voices(tmp_path: Path) -> None:
    write_voice(tmp_path, "joe", 1)
    write_voice(tmp_path, "many", 3)
    engine = open_engine("piper", None, tmp_path)
    assert list(engine.voices) == ["joe", "many#0", "many#1", "many#2"]
    samples = engine.speak("stop", Voice("x", (("joe", 1.0),)), 1.0)
    assert samples[300::600].tolist() == [1, 0, 5, 0, 6, 0, 7, 0, 2]
    half = engine.speak("stop", Voice("x", (("many#2", 1.0),)), 2.0)
    assert half[300::600].tolist() == [100.5, 100, 102.5, 100, 103, 100, 103.5, 100, 101]


def test_missing_voices_and_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"expected a folder with Piper's VOICE\.onnx and VOICE\.onnx\.json"):
        open_engine("piper", None, tmp_path)
    write_voice(tmp_path, "joe", 1)
    (tmp_path / "joe.onnx.json").write_text("{}")
    with pytest.raises(SpeechError, match=r"joe\.onnx\.json: expected the settings of a Piper voice"):
        open_engine("piper", None, tmp_path)
