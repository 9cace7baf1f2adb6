import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from service.spotting.metadata import MODES, ModelError
from service.spotting.model import Model
from tests.support.paths import ROOT
from tests.support.speech import synthesize
from tests.support.tone_model import HOP, LABELS, METADATA, tone_model


def saved(tmp_path: Path, proto: onnx.ModelProto) -> Path:
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path


def test_a_model_has_its_metadata_and_its_report(models_dir: Path) -> None:
    model = Model(models_dir / "tones" / "model.onnx")
    assert model.metadata == METADATA
    assert (model.metadata.frame_ms, model.metadata.look_ahead_ms, model.metadata.algorithmic_ms) == (10, 30, 35)
    assert model.report == {"accuracy": 0.5}
    assert Model(models_dir / "other").report is None
    assert len(model.sha256) == 64
    assert model.sha256 != Model(models_dir / "other").sha256


def test_frames_run_one_by_one_or_together_score_the_same(model: Model) -> None:
    audio = synthesize("yes", "no")[np.newaxis, : 100 * HOP]
    together, after = model.run(audio, model.initial_state(1))
    state, single = model.initial_state(1), []
    for frame in range(100):
        scores, state = model.run(audio[:, frame * HOP : (frame + 1) * HOP], state)
        single.append(scores[0, 0])
    np.testing.assert_allclose(single, together[0], atol=1e-6)
    assert {name: array.shape for name, array in state.items()} == {"state_delay": (1, 3, 3), "state_h": (1, 3)}
    np.testing.assert_allclose(state["state_h"], after["state_h"], atol=1e-6)
    assert np.abs(state["state_h"]).max() > 1e-3


def test_a_missing_file_and_one_that_is_not_onnx_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model\.onnx, got no such file"):
        Model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"weights")
    with pytest.raises(ModelError, match="expected an ONNX model, got"):
        Model(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop": 320},
        {
            "labels": (*LABELS, "more"),
            "speeds": {"balanced": dict.fromkeys(MODES, dict.fromkeys((*LABELS, "more"), 0.5))},
        },
    ],
)
def test_metadata_that_does_not_fit_the_graph_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    proto = tone_model()
    helper.set_model_props(proto, METADATA.to_props() | {key: json.dumps(value) for key, value in wrong.items()})
    with pytest.raises(ModelError, match="shapes: expected"):
        Model(saved(tmp_path, proto))


def test_metadata_of_a_file_is_checked(tmp_path: Path) -> None:
    proto = tone_model()
    helper.set_model_props(proto, METADATA.to_props() | {"hop": "ten"})
    with pytest.raises(ModelError, match="metadata hop: expected JSON, got 'ten'"):
        Model(saved(tmp_path, proto))


def renamed(proto: onnx.ModelProto, before: str, after: str) -> onnx.ModelProto:
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = after if value.name == before else value.name
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]
    return proto


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("audio", "sound", r"inputs: expected audio and state_\*, got \['sound', 'state_delay', 'state_h'\]"),
        (
            "scores",
            "probabilities",
            r"outputs: expected scores and a next_ for each of \['state_delay', 'state_h'\], got",
        ),
        ("next_state_h", "state_h_after", "outputs: expected scores and a next_ for each of"),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Model(saved(tmp_path, renamed(tone_model(), before, after)))


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    proto = tone_model()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ModelError, match=r"expected to run on audio \[2, 3 \* 160\], got"):
        Model(saved(tmp_path, proto))


def test_a_state_of_no_fixed_size_is_refused(tmp_path: Path) -> None:
    proto = tone_model()
    proto.graph.input[2].type.tensor_type.shape.dim[1].dim_param = "hidden"
    with pytest.raises(ModelError, match=r"state_h: expected \[batch, fixed sizes...\], got \['batch', 'hidden'\]"):
        Model(saved(tmp_path, proto))


def test_scores_that_are_not_probabilities_are_refused(tmp_path: Path) -> None:
    proto = tone_model()
    softmax = proto.graph.node[-1]
    softmax.op_type = "Identity"
    softmax.ClearField("attribute")
    with pytest.raises(ModelError, match="scores: expected probabilities that sum to 1, got"):
        Model(saved(tmp_path, proto))


def test_a_report_that_is_not_json_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, tone_model())
    (tmp_path / "report.json").write_text("93 %")
    with pytest.raises(ModelError, match=r"report.json: expected JSON, got"):
        Model(tmp_path)


def test_a_model_that_differs_from_its_checksum_is_refused(tmp_path: Path) -> None:
    checksum = saved(tmp_path, tone_model()) / "model.onnx.sha256"
    sha256 = Model(tmp_path).sha256
    checksum.write_text(f"{sha256}  model.onnx\n")
    assert Model(tmp_path).sha256 == sha256
    for wrong in ("0" * 64, ""):
        checksum.write_text(wrong)
        with pytest.raises(ModelError, match=f"expected a model of sha256 {wrong}, got {sha256}"):
            Model(tmp_path)


def test_the_package_loads_onnxruntime_on_first_use_and_without_its_telemetry() -> None:
    code = """
import os, sys
import service.spotting, service.spotting.files
assert "onnxruntime" not in sys.modules
from service.spotting import Model, Spotter
assert "onnxruntime" in sys.modules and os.environ["ORT_DISABLE_TELEMETRY"] == "1"
try:
    service.spotting.Listener
except AttributeError as error:
    print(Model.__name__, Spotter.__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Model Spotter module 'service.spotting' has no attribute 'Listener'\n"
