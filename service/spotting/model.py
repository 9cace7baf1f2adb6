"""An exported model: its file, checked, and how one step of it is run.

Knows nothing of how the model was trained or what is inside the graph: it finds `audio`, `scores` and every
`state_*` by name. The contract is written in docs/model-format.md.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Pcm, to_float
from service.spotting.metadata import FrameScores, Metadata, ModelError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import: onnxruntime would report to its maker
import onnxruntime as ort

State = dict[str, NDArray[np.float32]]  # name -> [batch, ...]


class Model:
    """A loaded model. It holds no state of any stream, so one serves all of them and any thread may run it.

    Args:
        path: a `model.onnx` or the folder it is in.

    Attributes:
        metadata: labels, timing and thresholds.
        sha256: of the file.
        report: its evaluation, from the `report.json` beside it, if there is one.

    Raises:
        ModelError: the file is not a model of this format, or not what its metadata or its checksum says.
    """

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        file = file / "model.onnx" if file.is_dir() else file
        if not file.is_file():
            raise ModelError(f"expected a model.onnx, got no such file: {file}")
        content = file.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        _check_sha256(self.sha256, checksum_file(file))
        self._session = _open(content, file)
        self.metadata = Metadata.from_props(self._session.get_modelmeta().custom_metadata_map)
        self.report: dict[str, Any] | None = _read_report(file.with_name("report.json"))
        self._shapes = _state_shapes(self._session)
        self._outputs = ["scores", *(f"next_{name}" for name in self._shapes)]
        self._probe()

    def initial_state(self, batch: int) -> State:
        """The state before any audio, for `batch` streams: all zeros."""
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in self._shapes.items()}

    def run(self, audio: Pcm, state: State) -> tuple[FrameScores, State]:
        """Score the next frames of some streams.

        Args:
            audio: [batch, hop * frames], float32 at full scale 1 or int16.
            state: of the streams before it, name -> [batch, ...].

        Returns:
            float32 scores [batch, frames, labels], probabilities, and the state after it.
        """
        scores, *after = self._session.run(self._outputs, {"audio": to_float(audio), **state})
        return scores, dict(zip(self._shapes, after, strict=True))

    def _probe(self) -> None:
        """Run three silent frames of two streams: shows fixed dimensions and scores that are not probabilities."""
        try:
            scores, after = self.run(np.zeros((2, 3 * self.metadata.hop), np.float32), self.initial_state(2))
        except Exception as error:  # onnxruntime raises many kinds
            raise ModelError(f"expected to run on audio [2, 3 * {self.metadata.hop}], got: {error}") from error
        states = {name: (2, *shape) for name, shape in self._shapes.items()}
        expected = {"scores": (2, 3, len(self.metadata.labels)), **states}
        got = {"scores": scores.shape} | {name: array.shape for name, array in after.items()}
        if got != expected:
            raise ModelError(f"shapes: expected {expected}, got {got}")
        if not np.allclose(scores.sum(axis=2), 1, atol=1e-3) or scores.min() < 0:
            raise ModelError(f"scores: expected probabilities that sum to 1, got {scores[0, 0].tolist()}")


def checksum_file(file: Path) -> Path:
    """Where the sha256 of a model stands, as `sha256sum` writes it."""
    return file.with_name(file.name + ".sha256")


def _check_sha256(sha256: str, file: Path) -> None:
    """Compare with the checksum beside the model, where there is one."""
    if file.is_file() and (expected := file.read_text().split()[:1]) != [sha256]:
        raise ModelError(f"{file}: expected a model of sha256 {' '.join(expected)}, got {sha256}")


def _open(content: bytes, file: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # batch sizes vary; a plan for each would stay in memory
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds
        raise ModelError(f"{file}: expected an ONNX model, got: {error}") from error


def _state_shapes(session: ort.InferenceSession) -> dict[str, tuple[int, ...]]:
    """Input name -> shape of one stream's state, after checking that every input and output is of the contract."""
    inputs = {node.name: node for node in session.get_inputs()}
    states = [name for name in inputs if name.startswith("state_")]
    outputs = {node.name for node in session.get_outputs()}
    if set(inputs) != {"audio", *states}:
        raise ModelError(f"inputs: expected audio and state_*, got {sorted(inputs)}")
    if outputs != {"scores", *(f"next_{name}" for name in states)}:
        raise ModelError(f"outputs: expected scores and a next_ for each of {states}, got {sorted(outputs)}")
    for name in states:
        if not all(isinstance(size, int) for size in inputs[name].shape[1:]):
            raise ModelError(f"{name}: expected [batch, fixed sizes...], got {inputs[name].shape}")
    return {name: tuple(inputs[name].shape[1:]) for name in states}


def _read_report(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        report: dict[str, Any] = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise ModelError(f"{file}: expected JSON, got: {error}") from error
    return report
