"""Rank-coded runs beside runs of the same network trained from the last step and stopped early by threshold."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.spotting.model import Model
from training.data.labels import Labels
from training.data.recordings import LoadedClips, find_clips, read_clips
from training.data.speech_commands import SEPARATE_WORDS
from training.evaluation.calibration import export_uncalibrated
from training.evaluation.clips import score_clips
from training.evaluation.operating_points import OperatingPoint, accuracy_at, accuracy_curve
from training.learning.checkpoint import read_checkpoint
from training.records import Record
from training.reports.markdown import markdown_table, milliseconds
from training.reports.model_card import plot_curves
from training.reports.provenance import Provenance

SECONDS = [round(0.3 + 0.05 * i, 2) for i in range(13)]  # mean decision times that are compared
METHODS = {"rc": "rank coding", "eos": "trained from the last step"}


@dataclass(frozen=True)
class RcVsEos(Record):
    split: str
    clips: int
    seconds: list[float]
    curves: dict[str, list[list[OperatingPoint]]]  # method -> curve per run
    accuracy: dict[str, list[list[float]]]  # method -> run -> at each of `seconds`
    measured: Provenance


def compare_runs(rc: Sequence[Path], eos: Sequence[Path], folder: Path, split: str, measured: Provenance) -> RcVsEos:
    """The curve of every run on a split of `folder`, without SEPARATE_WORDS, and accuracy at the same mean times.

    Runs of equal length are compared as they ended: their best epoch is one by the measure of early answers.
    """
    clips = read_clips([clip for clip in find_clips(folder, split) if clip.word not in SEPARATE_WORDS])
    runs = dict(zip(METHODS, (rc, eos), strict=True))
    curves = {method: [run_curve(run / "last.pt", clips) for run in runs[method]] for method in METHODS}
    accuracy = {method: [accuracy_at(curve, SECONDS) for curve in of_method] for method, of_method in curves.items()}
    return RcVsEos(split, len(clips.clips), SECONDS, curves, accuracy, measured)


def run_curve(checkpoint: Path, clips: LoadedClips) -> list[OperatingPoint]:
    with tempfile.TemporaryDirectory() as draft:
        model = Model(export_uncalibrated(read_checkpoint(checkpoint), clips.samples, Path(draft) / "draft"))
    labels = Labels(model.metadata.keywords)
    return accuracy_curve(model, score_clips(model, clips.samples, [labels.name(word) for word in clips.words]))


def write(result: RcVsEos, out: Path) -> None:
    """README.md, data.json and curve.png in `out`."""
    result.write(out / "data.json")
    (out / "README.md").write_text(page(result))
    plot_curves({METHODS[method]: curves for method, curves in result.curves.items()}, {}, out / "curve.png")


def page(result: RcVsEos) -> str:
    """Mean and spread over seeds at each mean decision time."""
    rc, eos = (np.array(result.accuracy[method]) * 100 for method in METHODS)

    def rows() -> Iterator[Sequence[str]]:
        for i, seconds in enumerate(result.seconds):
            cells = [f"{values[:, i].mean():.1f} ± {values[:, i].std():.1f} %" for values in (rc, eos)]
            yield milliseconds(seconds), *cells, f"{(rc - eos)[:, i].mean():+.1f}"

    about = f"{result.split} split, {result.clips} clips, {len(rc)} seeds each; ± is the standard deviation."
    table = markdown_table(("mean decision time", "RC", "EOS, stopped by threshold", "difference"), rows())
    return "\n".join([about, "", *table, "", f"`{result.measured.command}`, {result.measured.date}", ""])
