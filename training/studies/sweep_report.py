"""What came of a sweep: the composite curve of its runs, the best one for each wanted speed, a page and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.evaluation.operating_points import OperatingPoint
from training.records import Record
from training.reports.markdown import markdown_table, milliseconds, percent
from training.reports.model_card import plot_curves
from training.reports.provenance import Provenance


@dataclass(frozen=True)
class SweepRun(Record):
    """A run: the curve of one that was trained to its end, none of one that was stopped early."""

    name: str
    epochs: int
    curve: tuple[OperatingPoint, ...] = ()


@dataclass(frozen=True)
class CompositePoint(OperatingPoint):
    run: str


@dataclass(frozen=True)
class SweepResult(Record):
    clips: int  # validation clips
    runs: list[SweepRun]
    composite: list[CompositePoint]
    best: dict[str, CompositePoint]  # wanted speed -> the most accurate point within it
    speeds: dict[str, float]
    measured: Provenance


def sweep_result(
    runs: Sequence[SweepRun], clips: int, speeds: Mapping[str, float], measured: Provenance
) -> SweepResult:
    points = composite([CompositePoint(**vars(point), run=run.name) for run in runs for point in run.curve])
    best = {speed: best_within(points, seconds) for speed, seconds in speeds.items()}
    return SweepResult(clips, list(runs), points, best, dict(speeds), measured)


def composite(points: Sequence[CompositePoint]) -> list[CompositePoint]:
    """Those that no other is more accurate than at the same mean decision time or an earlier one; fastest first."""
    kept: list[CompositePoint] = []
    for point in sorted(points, key=lambda point: (point.decision_time_s, -point.accuracy)):
        if not kept or point.accuracy > kept[-1].accuracy:
            kept.append(point)
    return kept


def best_within(points: Sequence[CompositePoint], seconds: float) -> CompositePoint:
    """The most accurate point within a mean decision time; the fastest of all if none is within it."""
    return [point for point in points if point.decision_time_s <= seconds or point is points[0]][-1]


def write(result: SweepResult, out: Path) -> None:
    """README.md, data.json and curve.png in `out`."""
    result.write(out / "data.json")
    (out / "README.md").write_text(page(result))
    marks = {speed: (point.decision_time_s, point.accuracy) for speed, point in result.best.items()}
    curves = [run.curve for run in result.runs if run.curve]
    plot_curves({"runs": curves, "composite": [result.composite]}, marks, out / "curve.png")


def page(result: SweepResult) -> str:
    trained = sum(bool(run.curve) for run in result.runs)
    best = markdown_table(
        ("speed", "within", "accuracy", "mean decision time", "threshold", "model"),
        ((speed, milliseconds(result.speeds[speed]), *cells(point)) for speed, point in result.best.items()),
    )
    points = markdown_table(
        ("accuracy", "mean decision time", "threshold", "model"), (cells(point) for point in result.composite)
    )
    return "\n".join(
        [
            f"{len(result.runs)} runs, {trained} of them trained to their end and the others stopped early; "
            f"{result.clips} validation clips.",
            "",
            "The best model for each wanted speed, exported to `models/`:",
            "",
            *best,
            "",
            "The composite curve: points that no run is more accurate than as early.",
            "",
            *points,
            "",
            "![accuracy against decision time](curve.png)",
            "",
            str(result.measured),
            "",
        ]
    )


def cells(point: CompositePoint) -> tuple[str, ...]:
    return percent(point.accuracy), milliseconds(point.decision_time_s), f"{point.threshold:g}", f"`{point.run}`"
