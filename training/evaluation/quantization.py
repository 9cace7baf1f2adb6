"""An exported model in 8 bits beside itself: speed, accuracy, decision time.

Convolutions and dense layers, with scales fixed beforehand. The front-end stays in float because a power spectrum needs
its range, and the LSTM because onnxruntime scales it by the batch at hand: a stream would change the scores of others.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from service.spotting.model import Model
from training.data import recordings as sc
from training.evaluation.clips import Floats, decide, hear, measure
from training.model.export import write

CALIBRATED = 256  # clips
BATCH, FRAMES, RUNS = 32, 2, 300  # of the measurement: streams a run, 40 ms of audio each
ROUNDS = 5


class Clips(CalibrationDataReader):  # type: ignore[misc]
    """Clips as the quantiser reads them, one run after another."""

    def __init__(self, model: Model, clips: Sequence[Floats]) -> None:
        hop = model.metadata.hop
        rows = np.stack([clip[: sc.CLIP // hop * hop] for clip in sc.padded(clips)])
        self._feeds = iter(
            [
                {"audio": piece, **model.initial_state(len(piece))}
                for piece in np.array_split(rows, len(rows) // BATCH + 1)
            ]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def quantise(folder: Path, clips: Sequence[Floats], out: Path) -> None:
    """Write the model of `folder` to the file `out`, its scales chosen on clips [samples]."""
    source = folder / "model.onnx"
    nodes = [node.name for node in onnx.load(source).graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    with tempfile.TemporaryDirectory() as draft:
        prepared = Path(draft) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, out, Clips(Model(folder), clips), quant_format=QuantFormat.QDQ, per_channel=True,
            nodes_to_quantize=[name for name in nodes if "front_end" not in name],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def cpu_ms(model: Model) -> float:
    """CPU ms of the model a stream-second: the least of a few rounds."""
    meta, rng = model.metadata, np.random.default_rng(0)
    audio = (0.05 * rng.standard_normal((BATCH, FRAMES * meta.hop))).astype(np.float32)
    state, spent = model.initial_state(BATCH), []
    for _ in range(ROUNDS):
        began = process_time()
        for _ in range(RUNS):
            model.run(audio, state)
        spent.append(process_time() - began)
    return 1000 * min(spent) / RUNS / BATCH / FRAMES * meta.sample_rate / meta.hop


def compare(folder: Path, data: Path, split: str, out: Path | None = None) -> list[dict[str, Any]]:
    """A row for the model as it is and one in 8 bits, on the clips of a split; the latter stays as `out`/model.onnx."""
    known = sc.find_clips(data, "train")
    _, calibration, _ = sc.read_clips(known[:: max(1, len(known) // CALIBRATED)])
    clips, samples, _ = sc.read_clips([clip for clip in sc.find_clips(data, split) if clip.word not in ("on", "off")])
    with tempfile.TemporaryDirectory() as draft:
        small = Path(draft) / "model.onnx"
        quantise(folder, calibration, small)
        models = {"float32": Model(folder), "int8": Model(small)}
        rows = []
        for name, model in models.items():
            labels = model.metadata.labels
            heard = hear(model, samples, [labels[sc.label_of(clip.word, labels)] for clip in clips])
            found = measure(heard, decide(model, heard, model.metadata.speeds["balanced"]["utterance"]))
            rows.append({"weights": name, "cpu_ms_per_stream_s": round(cpu_ms(model), 3), **found})
        if out:
            write(small.read_bytes(), out / "model.onnx")
    return rows
