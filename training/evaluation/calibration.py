"""From the checkpoint of a run to its model.onnx: the speeds are chosen on validation, then the graph is written."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from service.spotting.audio import Samples
from service.spotting.metadata import MODES, Metadata
from service.spotting.model import Model
from training.data.corpus import read_corpus
from training.data.labels import Labels
from training.data.recordings import LoadedClips, read_split
from training.data.sources import DataSources
from training.data.training_data import warn
from training.evaluation.clips import score_clips
from training.evaluation.operating_points import (
    MIN_CLIPS,
    MIN_OTHERS,
    SPEED_LIMITS_S,
    Speeds,
    accuracy_curve,
    choose_speeds,
    enough_to_choose_on,
    fixed_speeds,
)
from training.evaluation.streams import calibrate
from training.learning.answer_windows import SPEED_CONFIRM_MS
from training.learning.checkpoint import Checkpoint, read_checkpoint
from training.learning.settings import RunSettings
from training.model.export import ExportedStep, commit, export
from training.model.frontend import SAMPLE_RATE, front_end_of
from training.model.network import Network

REFRACTORY_S = 0.5
SILENCE_DBFS, SILENCE_AFTER_S = -60.0, 1.0  # quieter than microphones in use; as long as the model itself hesitates
COMPARED_CLIPS = 20  # clips on which torch and onnxruntime must agree before an export is written
TOO_FEW = f"fewer than {MIN_CLIPS} validation clips of a keyword or {MIN_OTHERS} others, so fixed thresholds"


def silence_rule(dbfs: float, after_s: float) -> dict[str, float]:
    """The entry of the metadata; none for 0 s."""
    return {"level": round(10 ** (dbfs / 20), 6), "after_s": after_s} if after_s else {}


DEFAULT_SILENCE = silence_rule(SILENCE_DBFS, SILENCE_AFTER_S)


def export_checkpoint(checkpoint: Path, sources: DataSources, out: Path, silence: dict[str, float]) -> Metadata:
    """`rc-train export`."""
    read_checkpoint(checkpoint)  # an error about it comes before the reading of recordings
    return export_run(checkpoint, sources, read_split(sources.recordings, "validation"), out, silence)


def export_run(
    checkpoint: Path,
    sources: DataSources,
    validation: LoadedClips,
    out: Path,
    silence: dict[str, float] = DEFAULT_SILENCE,
) -> Metadata:
    """Export the checkpoint of a run to `out`/model.onnx, its speeds chosen on validation.

    For continuous streams they are chosen on streams of the validation clips, where there is running speech.
    Thresholds are fixed where there are too few clips.
    """
    saved = read_checkpoint(checkpoint)
    labels = RunSettings.from_dict(saved["settings"]).labels
    with tempfile.TemporaryDirectory() as draft:
        model = Model(export_uncalibrated(saved, validation.samples, Path(draft) / out.name))
    clips = score_clips(model, validation.samples, [labels.name(word) for word in validation.words])
    curve = accuracy_curve(model, clips)
    metadata = replace(
        model.metadata,
        curve=[point.to_json() for point in curve],
        silence=silence,
        confirm_ms=SPEED_CONFIRM_MS if sources.speech else {},
    )
    model.metadata = metadata
    if enough_validation_clips(validation, labels):
        speeds = choose_speeds(model, clips)
    else:
        warn([TOO_FEW])
        speeds, metadata = fixed_speeds(model), replace(metadata, data=f"{metadata.data}; {TOO_FEW}")
    if sources.speech:
        corpus = read_corpus(sources, labels, "validation", validation)
        for speed, thresholds in calibrate(model, corpus).items():
            speeds[speed]["continuous"] |= thresholds
    metadata = replace(metadata, speeds=speeds)
    write_export(saved, metadata, validation.samples, out / "model.onnx")
    return metadata


def enough_validation_clips(validation: LoadedClips, labels: Labels) -> bool:
    return enough_to_choose_on([labels.name(word) for word in validation.words], labels.keywords)


def export_uncalibrated(saved: Checkpoint, samples: Sequence[Samples], folder: Path) -> Path:
    """Export a checkpoint with its training threshold for every speed; returns the file."""
    settings = RunSettings.from_dict(saved["settings"])
    modes = dict.fromkeys(MODES, dict.fromkeys(settings.labels.all, settings.theta))
    metadata = describe(saved, folder.name, dict.fromkeys(SPEED_LIMITS_S, modes))
    write_export(saved, metadata, samples, folder / "model.onnx")
    return folder / "model.onnx"


def write_export(saved: Checkpoint, metadata: Metadata, samples: Sequence[Samples], path: Path) -> None:
    export(exported_step(saved), metadata, samples[:: max(1, len(samples) // COMPARED_CLIPS)], path)


def exported_step(saved: Checkpoint) -> ExportedStep:
    """Front-end and averaged network of a checkpoint."""
    settings = RunSettings.from_dict(saved["settings"])
    front_end = front_end_of(settings.front_end)
    front_end.load_state_dict(saved["front_end"])
    network = Network(settings.network)
    prefix = "module."
    averaged = {k.removeprefix(prefix): v for k, v in saved["average"].items() if k.startswith(prefix)}
    network.load_state_dict(averaged)
    return ExportedStep(front_end, network)


def describe(saved: Checkpoint, name: str, speeds: Speeds) -> Metadata:
    """The metadata of an export; its curve is still empty."""
    settings = RunSettings.from_dict(saved["settings"])
    return Metadata(
        format_version=1,
        name=name,
        version=f"{date.today():%Y.%m.%d}",
        labels=settings.labels.all,
        keywords=settings.labels.keywords,
        sample_rate=SAMPLE_RATE,
        hop=settings.front_end.hop * settings.network.stride,
        window=settings.front_end.window,
        look_ahead=settings.front_end.hop * Network(settings.network).look_ahead,
        method=settings.method,
        theta=settings.theta,
        beta=settings.beta,
        speeds=speeds,
        refractory_s=REFRACTORY_S,
        curve=[],
        data=saved["data"] + ("; begun with the weights of an earlier run" if settings.initial_checkpoint else ""),
        seed=settings.seed,
        commit=commit(),
    )
