"""An exported model quantised to 8 bits beside the original: speed, accuracy, decision time.

Convolutions and dense layers are quantised, with scales fixed beforehand. The front-end stays in float because a power
spectrum needs its range, and the LSTM because onnxruntime scales it by batch: one stream would change others' scores.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from service.spotting.audio import Samples
from service.spotting.model import Model
from training.data.labels import Labels
from training.data.recordings import CLIP, find_clips, padded, read_clips
from training.data.speech_commands import SEPARATE_WORDS
from training.evaluation.clips import DecisionTimes, decide, measure, score_clips
from training.model.export import write
from training.records import Record

CALIBRATION_CLIPS = 256
BATCH, FRAMES, RUNS = 32, 2, 300  # what is measured: streams per run, frames of each (40 ms), number of runs
ROUNDS = 5


class CalibrationClips(CalibrationDataReader):  # type: ignore[misc]
    """Clips as the quantiser reads them, one batch after another."""

    def __init__(self, model: Model, clips: Sequence[Samples]) -> None:
        hop = model.metadata.hop
        rows = np.stack([clip[: CLIP // hop * hop] for clip in padded(clips)])
        self._feeds = iter(
            [
                {"audio": batch, **model.initial_state(len(batch))}
                for batch in np.array_split(rows, len(rows) // BATCH + 1)
            ]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def quantise(folder: Path, clips: Sequence[Samples], out: Path) -> None:
    """Write the model of `folder` to the file `out`, its scales chosen on clips [samples]."""
    source = folder / "model.onnx"
    nodes = [node.name for node in onnx.load(source).graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    with tempfile.TemporaryDirectory() as draft:
        prepared = Path(draft) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, out, CalibrationClips(Model(folder), clips), quant_format=QuantFormat.QDQ, per_channel=True,
            nodes_to_quantize=[name for name in nodes if "front_end" not in name],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def cpu_ms(model: Model) -> float:
    """CPU ms of the model per stream-second: the minimum of a few rounds."""
    meta, rng = model.metadata, np.random.default_rng(0)
    audio = (0.05 * rng.standard_normal((BATCH, FRAMES * meta.hop))).astype(np.float32)
    state, spent = model.initial_state(BATCH), []
    for _ in range(ROUNDS):
        began = process_time()
        for _ in range(RUNS):
            model.run(audio, state)
        spent.append(process_time() - began)
    return 1000 * min(spent) / RUNS / BATCH / FRAMES * meta.sample_rate / meta.hop


@dataclass(frozen=True)
class WeightsMetrics(Record):
    """A model with weights of one kind."""

    weights: str
    cpu_ms_per_stream_s: float
    clips: int
    accuracy: float
    decision_time_s: DecisionTimes
    crossed: float


def compare_quantized(folder: Path, data: Path, split: str, out: Path | None = None) -> list[WeightsMetrics]:
    """The model as it is and quantised, on the clips of a split; the latter is written to `out`/model.onnx."""
    train = find_clips(data, "train")
    calibration = read_clips(train[:: max(1, len(train) // CALIBRATION_CLIPS)])
    clips = read_clips([clip for clip in find_clips(data, split) if clip.word not in SEPARATE_WORDS])
    with tempfile.TemporaryDirectory() as draft:
        small = Path(draft) / "model.onnx"
        quantise(folder, calibration.samples, small)
        rows = []
        for weights, model in {"float32": Model(folder), "int8": Model(small)}.items():
            labels = Labels(model.metadata.keywords)
            scored = score_clips(model, clips.samples, [labels.name(word) for word in clips.words])
            metrics = measure(scored, decide(model, scored, model.metadata.speeds["balanced"]["utterance"]))
            rows.append(WeightsMetrics(weights, round(cpu_ms(model), 3), **vars(metrics)))
        if out:
            write(small.read_bytes(), out / "model.onnx")
    return rows
