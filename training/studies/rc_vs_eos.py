"""Rank-coded runs beside runs of the same network trained from the last step and stopped early by threshold."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.model import Model
from training.data import recordings as sc
from training.evaluation.clips import accuracy_at, curve, hear
from training.recipe import export_uncalibrated, load_checkpoint
from training.reports.model_card import plot_curves

SECONDS = [round(0.3 + 0.05 * i, 2) for i in range(13)]  # mean decision times that are compared


def compare(rc: Sequence[Path], eos: Sequence[Path], folder: Path, split: str) -> dict[str, Any]:
    """The curve of every run on a split of `folder`, without on and off, and accuracy at the same mean times.

    Runs of equal length are compared as they ended: their best epoch is one by the measure of early answers.
    """
    clips = [clip for clip in sc.find_clips(folder, split) if clip.word not in ("on", "off")]
    clips, samples, _ = sc.read_clips(clips)
    found: dict[str, Any] = {"split": split, "clips": len(clips), "seconds": SECONDS, "curves": {}, "accuracy": {}}
    for method, runs in (("rc", rc), ("eos", eos)):
        found["curves"][method] = curves = [run_curve(run, clips, samples) for run in runs]
        found["accuracy"][method] = [accuracy_at(points, SECONDS) for points in curves]
    return found


def run_curve(run: Path, clips: Sequence[sc.Clip], samples: Sequence[Any]) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as draft:
        model = Model(export_uncalibrated(load_checkpoint(run / "last.pt"), samples, Path(draft) / "draft"))
    labels = model.metadata.labels
    return curve(model, hear(model, samples, [labels[sc.label_of(clip.word, labels)] for clip in clips]))


def write(found: dict[str, Any], out: Path) -> None:
    """README.md, data.json and curve.png in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "data.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "README.md").write_text(table(found))
    names = {"rc": "rank coding", "eos": "trained from the last step"}
    plot_curves({names[key]: curves for key, curves in found["curves"].items()}, {}, out / "curve.png")


def table(found: dict[str, Any]) -> str:
    """Mean and spread over seeds at each mean decision time."""
    rows = ["| mean decision time | RC | EOS, stopped by threshold | difference |", "| --- | --- | --- | --- |"]
    rc, eos = (np.array(found["accuracy"][method]) * 100 for method in ("rc", "eos"))
    for i, seconds in enumerate(found["seconds"]):
        cells = [f"{values[:, i].mean():.1f} ± {values[:, i].std():.1f} %" for values in (rc, eos)]
        rows.append(f"| {1000 * seconds:.0f} ms | {cells[0]} | {cells[1]} | {(rc - eos)[:, i].mean():+.1f} |")
    about = f"{found['split']} split, {found['clips']} clips, {len(rc)} seeds each; ± is the standard deviation."
    return "\n".join([about, "", *rows, "", f"`{found['measured']['command']}`, {found['measured']['date']}", ""])
