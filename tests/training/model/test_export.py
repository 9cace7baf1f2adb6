"""An export is torch's scores in onnxruntime, or it is not written."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from service.spotting.metadata import Metadata
from service.spotting.model import Model
from tests.support.untrained import NETWORKS, noise, step_and_metadata
from training.model.export import ExportedStep, ExportMismatchError, describe, export, write_graph
from training.model.network import Network


@pytest.mark.parametrize("name", NETWORKS)
def test_an_export_scores_as_torch_does(name: str, tmp_path: Path) -> None:
    step, metadata = step_and_metadata(name)
    export(step, metadata, noise(), tmp_path / "m" / "model.onnx")
    model = Model(tmp_path / "m")
    assert model.metadata == metadata
    assert (tmp_path / "m" / "model.onnx.sha256").read_text() == f"{model.sha256}  model.onnx\n"
    audio = np.stack([clip[:16_000] for clip in noise()])
    with torch.no_grad():
        expected = step(torch.from_numpy(audio), *step.initial_state(3))[0].numpy()
    scores, _ = model.run(audio, model.initial_state(3))
    np.testing.assert_allclose(scores, expected, atol=2e-4)
    assert np.ptp(scores, axis=1).max() > 0.1


def test_nothing_is_written_when_scores_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, metadata = step_and_metadata("paper")

    def write_another(step: ExportedStep, hop: int, path: Path) -> None:
        other = ExportedStep(step.front_end, Network(NETWORKS["paper"])).eval()
        write_graph(other, hop, path)

    monkeypatch.setattr("training.model.export.write_graph", write_another)
    with pytest.raises(ExportMismatchError, match=r"whole: expected scores within 0.0002 of torch, got 0\.\d+"):
        export(step, metadata, noise(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_is_not_carried_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, metadata = step_and_metadata("conv")

    def describe_and_break(path: Path, metadata: Metadata) -> None:
        model = onnx.load(path)
        outputs = {name: name.replace("next_state_h", "swap").replace("next_state_c", "next_state_h") for name in
                   ("next_state_h", "next_state_c")}  # fmt: skip
        for node in model.graph.node:
            node.output[:] = [outputs.get(name, name).replace("swap", "next_state_c") for name in node.output]
        onnx.save(model, path)
        describe(path, metadata)

    monkeypatch.setattr("training.model.export.describe", describe_and_break)
    with pytest.raises(ExportMismatchError, match="by frames: expected scores within"):
        export(step, metadata, noise(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_export_adds_up_no_integers(tmp_path: Path) -> None:
    """onnxruntime would take a tenth of a run for them."""
    step, metadata = step_and_metadata("conv")
    write_graph(step.eval(), metadata.hop, tmp_path / "model.onnx")
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx")).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    assert {types[node.input[0]] for node in graph.node if node.op_type == "ReduceSum"} == {onnx.TensorProto.FLOAT}
