"""A trained run as one ONNX file: raw samples in, scores out, state explicit, described by its own metadata.

Refuses to write a file whose decisions are not those of the torch model.
"""

import hashlib
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from service.spotting.audio import Samples
from service.spotting.metadata import Metadata
from service.spotting.model import Model, checksum_file
from training.errors import TrainingError
from training.model.frontend import LogMel
from training.model.network import Network

TOLERANCE = 2e-4  # largest difference of a score between torch and onnxruntime
OPSET = 17


class ExportMismatchError(TrainingError):
    """onnxruntime does not compute what torch does; the message says by how much."""


class ExportedStep(nn.Module):
    """Front-end and network as one step: (audio, state...) → (scores, next state...), states in `names`' order."""

    def __init__(self, front_end: LogMel, network: Network) -> None:
        super().__init__()
        self.front_end, self.network = front_end, network
        self.names = [*front_end.initial_state(1), *network.initial_state(1)]

    def initial_state(self, batch: int) -> list[Tensor]:
        return [*self.front_end.initial_state(batch).values(), *self.network.initial_state(batch).values()]

    def forward(self, audio: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Samples [batch, hop * frames] → probabilities [batch, frames, labels] and every state after them."""
        before = dict(zip(self.names, state, strict=True))
        features, after = self.front_end(audio, before)
        logits, new = self.network(features, before)
        return logits.softmax(dim=2), *({**after, **new}[name] for name in self.names)


def export(step: ExportedStep, metadata: Metadata, clips: Sequence[Samples], path: Path) -> None:
    """Write `path` if onnxruntime gives torch's scores on `clips` [samples], a frame at a time and whole.

    Raises ExportMismatchError, and writes nothing, when any score differs by more than TOLERANCE.
    """
    step.eval()
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "model.onnx"
        write_graph(step, metadata.hop, draft)
        describe(draft, metadata)
        check_parity(step, Model(draft, skip_silence=False), clips)
        write(draft.read_bytes(), path)


def write(content: bytes, path: Path) -> None:
    """Write a model's file, and its checksum beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    checksum_file(path).write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")


def write_graph(step: ExportedStep, hop: int, path: Path) -> None:
    """The graph with dynamic batch and frames."""
    batch, frames = 2, 3
    inputs = ["audio", *(f"state_{name}" for name in step.names)]
    outputs = ["scores", *(f"next_state_{name}" for name in step.names)]
    axes = {name: {0: "batch"} for name in inputs + outputs}
    axes["audio"][1], axes["scores"][1] = "samples", "frames"
    example = (torch.zeros(batch, hop * frames), *step.initial_state(batch))
    with warnings.catch_warnings():  # the older exporter takes a second instead of ten for the same operators,
        warnings.simplefilter("ignore")  # and warns of that and of what `check_parity` will find
        torch.onnx.export(
            step, example, str(path), input_names=inputs, output_names=outputs, dynamic_axes=axes,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def describe(path: Path, metadata: Metadata) -> None:
    """Put the metadata into the file."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata.to_props())
    onnx.save(model, path)


def change_silence(folder: Path, silence: dict[str, float]) -> None:
    """Give the model of a folder another rule of silence; its scores elsewhere stay."""
    change_metadata(folder, replace(Model(folder).metadata, silence=silence))


def change_metadata(folder: Path, metadata: Metadata) -> None:
    """Give the model of a folder other metadata; its graph stays."""
    with tempfile.TemporaryDirectory() as draft:
        file = Path(draft) / "model.onnx"
        file.write_bytes((folder / "model.onnx").read_bytes())
        describe(file, metadata)
        write(file.read_bytes(), folder / "model.onnx")


def check_parity(step: ExportedStep, model: Model, clips: Sequence[Samples]) -> None:
    """Raise ExportMismatchError unless torch, onnxruntime by single frames and onnxruntime on whole clips agree."""
    hop = model.metadata.hop
    for clip in clips:
        audio = clip[: len(clip) // hop * hop][None]
        with torch.no_grad():
            expected = step(torch.from_numpy(audio), *step.initial_state(1))[0].numpy()
        whole, _ = model.run(audio, model.initial_state(1))
        state, frames = model.initial_state(1), []
        for start in range(0, audio.shape[1], hop):
            scores, state = model.run(audio[:, start : start + hop], state)
            frames.append(scores)
        for name, scores in (("whole", whole), ("by frames", np.concatenate(frames, axis=1))):
            difference = float(np.abs(scores - expected).max())
            if not difference <= TOLERANCE:
                raise ExportMismatchError(f"{name}: expected scores within {TOLERANCE} of torch, got {difference:.2g}")


def commit() -> str:
    """The commit of the working tree, `+` when it is changed, or `unknown` outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--abbrev=12"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
