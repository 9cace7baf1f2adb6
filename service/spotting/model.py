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

from service.spotting.audio import Pcm, Samples, to_float
from service.spotting.metadata import SILENCE, FrameScores, Metadata, ModelError
from service.spotting.verifier import StreamJudge, Verifier

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import: onnxruntime would report to its maker
import onnxruntime as ort

State = dict[str, NDArray[np.float32]]  # name -> [batch, ...]
QUIET = "quiet"  # of the state, beside the graph's own: quiet frames so far, of the rule of silence


class Model:
    """A loaded model. It holds no state of any stream, so one serves all of them and any thread may run it.

    Args:
        path: a `model.onnx` or the folder it is in.
        skip_silence: whether frames that are silent by the metadata's rule are cut out of the audio: their scores are
            those of `_silence_`, and the state stays as it was before them.

    Attributes:
        metadata: labels, timing and thresholds.
        verifier: the second judge of candidates, from the `verifier.onnx` beside it, if the metadata describe one.
        sha256: of the file.
        report: its evaluation, from the `report.json` beside it, if there is one.

    Raises:
        ModelError: the file is not a model of this format, or not what its metadata or its checksum says.
    """

    def __init__(self, path: str | Path, skip_silence: bool = True) -> None:
        file = Path(path)
        file = file / "model.onnx" if file.is_dir() else file
        if not file.is_file():
            raise ModelError(f"expected a model.onnx, got no such file: {file}")
        content = file.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        _check_sha256(self.sha256, checksum_file(file))
        self._session = _open(content, file)
        self.metadata = Metadata.from_props(self._session.get_modelmeta().custom_metadata_map)
        self.verifier = _open_verifier(self.metadata, file.with_name("verifier.onnx"))
        self._silence = self.metadata.silence_rule if skip_silence else None
        self.report: dict[str, Any] | None = _read_report(file.with_name("report.json"))
        self._shapes = _state_shapes(self._session)
        self._outputs = ["scores", *(f"next_{name}" for name in self._shapes)]
        self._probe()

    def new_judge(self) -> StreamJudge | None:
        """What a session of one stream asks about candidates; None without a verifier."""
        return StreamJudge(self.verifier, self.metadata.hop) if self.verifier else None

    def initial_state(self, batch: int) -> State:
        """The state before any audio, for `batch` streams: all zeros."""
        shapes = {**self._shapes, QUIET: ()} if self._silence else self._shapes
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes.items()}

    def run(self, audio: Pcm, state: State) -> tuple[FrameScores, State]:
        """Score the next frames of some streams.

        Args:
            audio: [batch, hop * frames], float32 at full scale 1 or int16.
            state: of the streams before it, name -> [batch, ...].

        Returns:
            float32 scores [batch, frames, labels], probabilities, and the state after it.
        """
        after = {name: array.copy() for name, array in state.items()}
        return self.advance(audio, after, np.arange(len(audio))), after

    def advance(self, audio: Pcm, state: State, rows: NDArray[np.intp]) -> FrameScores:
        """The same for the streams in some rows of `state`, which becomes their state after it."""
        if self._silence is None:
            return self._infer_rows(audio, state, rows)
        hops = audio.reshape(len(audio), -1, self.metadata.hop)
        silent, state[QUIET][rows] = self._silence.apply(hops, state[QUIET][rows])
        return self._infer_others(hops, silent, state, rows) if silent.any() else self._infer_rows(audio, state, rows)

    def _infer(self, audio: Pcm, state: State) -> tuple[FrameScores, State]:
        """Run the graph."""
        scores, *after = self._session.run(self._outputs, {"audio": to_float(audio), **state})
        return scores, dict(zip(self._shapes, after, strict=True))

    def _infer_rows(self, audio: Pcm, state: State, rows: NDArray[np.intp]) -> FrameScores:
        """Run the graph for some rows of `state`."""
        scores, after = self._infer(audio, {name: state[name].take(rows, axis=0) for name in self._shapes})
        for name, array in after.items():
            state[name][rows] = array
        return scores

    def _infer_others(self, hops: Pcm, silent: NDArray[np.bool_], state: State, rows: NDArray[np.intp]) -> FrameScores:
        """Run the graph on `hops` [batch, frames, hop] without the silent ones; as many of each stream share a run."""
        scores = np.zeros((*silent.shape, len(self.metadata.labels)), np.float32)
        scores[silent, self.metadata.labels.index(SILENCE)] = 1
        counts = (~silent).sum(axis=1)
        for count in set(counts.tolist()) - {0}:
            streams = counts == count
            chosen = ~silent & streams[:, np.newaxis]
            run_scores = self._infer_rows(hops[chosen].reshape(-1, count * self.metadata.hop), state, rows[streams])
            scores[chosen] = run_scores.reshape(-1, scores.shape[2])
        return scores

    def _probe(self) -> None:
        """Run three silent frames of two streams: shows fixed dimensions and scores that are not probabilities."""
        try:
            state = {name: np.zeros((2, *shape), np.float32) for name, shape in self._shapes.items()}
            scores, after = self._infer(np.zeros((2, 3 * self.metadata.hop), np.float32), state)
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


def _open_verifier(model: Metadata, file: Path) -> Verifier | None:
    """Raises ModelError where the file is not the one that the metadata of the model describe."""
    if not model.verifier:
        return None
    if not file.is_file():
        raise ModelError(f"expected a verifier.onnx beside the model, got no such file: {file}")
    content = file.read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != model.verifier["sha256"]:
        raise ModelError(f"{file}: expected a verifier of sha256 {model.verifier['sha256']}, got {got}")
    session = _open(content, file)

    def run(audio: Samples) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(["probabilities"], {"audio": audio})[0]
        return probabilities

    return Verifier(run, model)


def _read_report(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        report: dict[str, Any] = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise ModelError(f"{file}: expected JSON, got: {error}") from error
    return report
