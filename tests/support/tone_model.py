"""A tiny model with real state: a label is a tone, and its score grows while the tone lasts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.spotting.metadata import MODES, Metadata
from service.spotting.model import Model

RATE, HOP, DELAY = 16000, 160, 3  # DELAY: frames of look-ahead
LABELS = ("yes", "no", "_unknown_", "_silence_")
TONES = {"yes": 500.0, "no": 1000.0, "_unknown_": 1500.0}  # Hz; each whole periods a hop
METADATA = Metadata(
    format_version=1,
    name="tones",
    version="1",
    labels=LABELS,
    keywords=("yes", "no"),
    sample_rate=RATE,
    hop=HOP,
    window=HOP,
    look_ahead=DELAY * HOP,
    method="rc",
    theta=0.95,
    beta=0.1,
    speeds={
        "fast": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.6)),
        "balanced": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.9) | {"_silence_": 1.0}),
        "accurate": dict.fromkeys(MODES, dict.fromkeys(LABELS, 0.98)),
    },
    refractory_s=0.2,
    curve=[{"threshold": 0.9, "accuracy": 1.0, "decision_time_s": 0.2}],
    data="tones",
    seed=0,
    commit="none",
)

Constants = dict[str, NDArray[Any]]  # by name


def tone_model(metadata: Metadata = METADATA) -> onnx.ModelProto:
    """Energy at each tone (DELAY frames late: `state_delay`), a leaky integrator (`state_h`), softmax.

    The integrator is a recurrent layer, so a state lost, mixed up or fed twice shows in every later score.
    """
    n = len(TONES)
    constants, energy = tone_energy(list(TONES.values()))
    constants |= {
        "w": 2.0 * np.eye(n)[None],
        "r": 0.9 * np.eye(n)[None],
        "dense": np.hstack([10 * np.eye(n), np.zeros((n, 1))]),
        "bias": np.array([0, 0, 0, 4.0]),
        "axis0": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "late": np.array([-DELAY], np.int64),
        "end": np.array([2**31], np.int64),
        "zero": np.array([0], np.int64),
        "minus_late": np.array([-DELAY], np.int64),
    }
    node = helper.make_node
    nodes = [
        *energy,
        node("Concat", ["state_delay", "energy"], ["joined"], axis=1),
        node("Slice", ["joined", "zero", "minus_late", "axis1"], ["delayed"]),
        node("Slice", ["joined", "late", "end", "axis1"], ["next_state_delay"]),
        node("Transpose", ["delayed"], ["steps"], perm=[1, 0, 2]),
        node("Unsqueeze", ["state_h", "axis0"], ["h0"]),
        node("RNN", ["steps", "w", "r", "", "", "h0"], ["out", "h1"], hidden_size=n, activations=["Relu"]),
        node("Squeeze", ["h1", "axis0"], ["next_state_h"]),
        node("Squeeze", ["out", "axis1"], ["flat"]),
        node("Transpose", ["flat"], ["rows"], perm=[1, 0, 2]),
        node("MatMul", ["rows", "dense"], ["unbiased"]),
        node("Add", ["unbiased", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    value = helper.make_tensor_value_info
    model = build_model(
        constants,
        nodes,
        [
            value("audio", TensorProto.FLOAT, ["batch", "samples"]),
            value("state_delay", TensorProto.FLOAT, ["batch", DELAY, n]),
            value("state_h", TensorProto.FLOAT, ["batch", n]),
        ],
        [
            value("scores", TensorProto.FLOAT, ["batch", "frames", n + 1]),
            value("next_state_delay", TensorProto.FLOAT, ["batch", DELAY, n]),
            value("next_state_h", TensorProto.FLOAT, ["batch", n]),
        ],
    )
    helper.set_model_props(model, metadata.to_props())
    return model


def tone_energy(tones: Sequence[float]) -> tuple[Constants, list[onnx.NodeProto]]:
    """From `audio` to `energy` [batch, hops, tones] at these frequencies (Hz)."""
    phase = 2 * np.pi * np.arange(HOP)[:, None] * np.array(tones) / RATE
    constants = {"cosine": np.cos(phase) / HOP, "sine": np.sin(phase) / HOP, "hops": np.array([0, -1, HOP], np.int64)}
    node = helper.make_node
    return constants, [
        node("Reshape", ["audio", "hops"], ["blocks"]),
        node("MatMul", ["blocks", "cosine"], ["c"]),
        node("MatMul", ["blocks", "sine"], ["s"]),
        node("Mul", ["c", "c"], ["c2"]),
        node("Mul", ["s", "s"], ["s2"]),
        node("Add", ["c2", "s2"], ["energy"]),
    ]


def build_model(
    constants: Constants,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """A model from its parts; constants that are not int64 become float32."""
    weights = [
        numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name)
        for name, array in constants.items()
    ]
    graph = helper.make_graph(nodes, "tones", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_model(directory: Path, name: str = "tones", metadata: Metadata = METADATA) -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    onnx.save(tone_model(replace(metadata, name=name)), folder / "model.onnx")
    return folder


def write_version(folder: Path, version: str) -> str:
    """A model of that version in place of the one that is there; its sha256."""
    onnx.save(tone_model(replace(METADATA, version=version)), folder / "model.onnx")
    return Model(folder).sha256
