"""A tiny verifier for the tone model: the probability of a word is how long its tone lasts in the window."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.spotting.metadata import Metadata
from tests.support.early import EARLY_METADATA
from tests.support.tone_model import TONES, build_model, tone_energy, write_model

WINDOW_S = 1.5
CERTAIN_S = 0.3  # a tone at the loudness of `synthesize` for that long has probability 1
LOUDNESS = 0.3**2  # energy of such a tone in a hop
RULE: dict[str, Any] = {
    "window_s": WINDOW_S,
    "after_ms": 40,
    "thresholds": {speed: {"yes": 0.5, "no": 0.5} for speed in ("balanced", "accurate")},
}


def tone_verifier(keywords: tuple[str, ...] = EARLY_METADATA.keywords) -> onnx.ModelProto:
    """Mean energy at each keyword's tone over the window, scaled and cut to 1."""
    constants, energy = tone_energy([TONES[keyword] for keyword in keywords])
    constants |= {
        "scale": np.array(WINDOW_S / CERTAIN_S / LOUDNESS),
        "one": np.array(1.0),
        "zero": np.array(0.0),
    }
    node = helper.make_node
    nodes = [
        *energy,
        node("ReduceMean", ["energy"], ["mean"], axes=[1], keepdims=0),
        node("Mul", ["mean", "scale"], ["length"]),
        node("Clip", ["length", "zero", "one"], ["probabilities"]),
    ]
    value = helper.make_tensor_value_info
    return build_model(
        constants,
        nodes,
        [value("audio", TensorProto.FLOAT, ["batch", "samples"])],
        [value("probabilities", TensorProto.FLOAT, ["batch", len(keywords)])],
    )


def write_verified_model(
    directory: Path, verifier: onnx.ModelProto | None = None, metadata: Metadata = EARLY_METADATA, **rule: Any
) -> Path:
    """The folder of a tone model with a verifier beside it, whose rule differs from RULE by some keys."""
    content = (verifier or tone_verifier()).SerializeToString()
    described = {"sha256": hashlib.sha256(content).hexdigest(), **RULE, **rule}
    folder = write_model(directory, "tones", replace(metadata, verifier=described))
    (folder / "verifier.onnx").write_bytes(content)
    return folder
