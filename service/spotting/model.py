"""An exported model: what its file says of itself, and how one step of it is run.

Knows nothing of how the model was trained or what is inside the graph: it finds `audio`, `scores` and every
`state_*` by name. The contract is written in the README under "The exported model".
"""

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

FORMAT_VERSION = 1
MODES = ("utterance", "continuous")
DEFAULT_SPEED = "balanced"  # the operating point of a stream that names none
Samples = NDArray[np.float32]
State = dict[str, NDArray[np.float32]]


class ModelError(ValueError):
    """The file is no model of this format; the message says what was expected and what came."""


@dataclass(frozen=True)
class Metadata:
    """The description that travels inside the ONNX file, one JSON value a key of `metadata_props`."""

    format_version: int
    name: str
    version: str
    labels: tuple[str, ...]  # order of the last axis of `scores`
    keywords: tuple[str, ...]  # the labels that may be detections; the rest (_unknown_, _silence_) never are
    sample_rate: int  # Hz
    hop: int  # samples a frame of scores
    window: int  # samples the feature window spans
    look_ahead: int  # samples after the frame's centre that its scores wait for
    method: str  # "rc" or "eos"
    theta: float  # training threshold
    beta: float  # weight of the entropy term
    speeds: dict[str, dict[str, dict[str, float]]]  # speed -> mode -> label -> threshold
    refractory_s: float
    curve: list[dict[str, float]]  # validation: threshold, accuracy, decision_time_s
    data: str
    seed: int
    commit: str
    confirm_ms: dict[str, float] = field(default_factory=dict)  # speed -> how long a continuous score must stand

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ModelError(f"format_version: expected {FORMAT_VERSION}, got {self.format_version}")
        if missing := set(self.keywords) - set(self.labels):
            raise ModelError(f"keywords: expected some of {list(self.labels)}, got {sorted(missing)} too")
        if not (isinstance(self.hop, int) and isinstance(self.sample_rate, int) and 0 < self.hop <= self.sample_rate):
            raise ModelError(f"hop: expected 1 to {self.sample_rate} samples, got {self.hop}")
        if DEFAULT_SPEED not in self.speeds:
            raise ModelError(f"speeds: expected {DEFAULT_SPEED!r} among them, got {sorted(self.speeds)}")
        for speed, modes in self.speeds.items():
            if set(modes) != set(MODES):
                raise ModelError(f"speeds.{speed}: expected the modes {list(MODES)}, got {sorted(modes)}")
            for mode, thresholds in modes.items():
                if set(thresholds) != set(self.labels):
                    raise ModelError(
                        f"speeds.{speed}.{mode}: expected a threshold for each of {list(self.labels)}, "
                        f"got {sorted(thresholds)}"
                    )
        if not (set(self.confirm_ms) <= set(self.speeds) and all(0 <= ms <= 1000 for ms in self.confirm_ms.values())):
            raise ModelError(f"confirm_ms: expected 0 to 1000 for some of {sorted(self.speeds)}, got {self.confirm_ms}")

    @property
    def frame_ms(self) -> float:
        return 1000 * self.hop / self.sample_rate

    @property
    def look_ahead_ms(self) -> float:
        return 1000 * self.look_ahead / self.sample_rate

    @property
    def algorithmic_ms(self) -> float:
        """What a decision must wait for by the model's own design: half a window and the look-ahead."""
        return 1000 * (self.window / 2 + self.look_ahead) / self.sample_rate

    def to_props(self) -> dict[str, str]:
        return {key.name: json.dumps(getattr(self, key.name)) for key in fields(self)}

    @classmethod
    def from_props(cls, props: dict[str, str]) -> "Metadata":
        values: dict[str, Any] = {}
        for key in fields(cls):
            if key.name not in props:
                if key.default_factory is not MISSING:  # models from before it was there
                    continue
                raise ModelError(f"metadata: expected key {key.name!r}, got {sorted(props)}")
            try:
                value = json.loads(props[key.name])
            except json.JSONDecodeError as error:
                raise ModelError(f"metadata {key.name}: expected JSON, got {props[key.name]!r}") from error
            values[key.name] = tuple(value) if isinstance(value, list) and key.name != "curve" else value
        return cls(**values)


class Model:
    """A loaded model: `audio` [batch, hop * frames] and a state in, `scores` [batch, frames, labels] and a state out.

    The object holds no state of any stream, so one serves all of them and any thread may run it.
    Raises BadModel when the file is not what its metadata says.
    """

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        file = file / "model.onnx" if file.is_dir() else file
        if not file.is_file():
            raise ModelError(f"expected a model.onnx, got no such file: {file}")
        content = file.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        _refuse_changed(self.sha256, checksum_file(file))
        self._session = _open(content, file)
        self.metadata = Metadata.from_props(self._session.get_modelmeta().custom_metadata_map)
        self.report: dict[str, Any] | None = _read_report(file.with_name("report.json"))
        self._shapes = _state_shapes(self._session)
        self._outputs = ["scores", *(f"next_{name}" for name in self._shapes)]
        self._probe()

    def initial_state(self, batch: int) -> State:
        """The state before any audio, for `batch` streams: all zeros."""
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in self._shapes.items()}

    def run(self, audio: Samples, state: State) -> tuple[Samples, State]:
        """Score `audio`, float32 [batch, hop * frames], from `state`; returns scores and the state after it."""
        scores, *after = self._session.run(self._outputs, {"audio": audio, **state})
        return scores, dict(zip(self._shapes, after, strict=True))

    def _probe(self) -> None:
        """Run three silent frames of two streams: shows fixed dimensions and scores that are no probabilities."""
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


def _refuse_changed(sha256: str, file: Path) -> None:
    """A model without a checksum beside it is taken as it is."""
    if file.is_file() and (expected := file.read_text().split()[:1]) != [sha256]:
        raise ModelError(f"{file}: expected a model of sha256 {' '.join(expected)}, got {sha256}")


def _open(content: bytes, file: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # batches are of every size; a plan for each would stay in memory
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds
        raise ModelError(f"{file}: expected an ONNX model, got: {error}") from error


def _state_shapes(session: ort.InferenceSession) -> dict[str, tuple[int, ...]]:
    """Input name -> shape of one stream's state, after checking that every input and output is one of the contract."""
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
