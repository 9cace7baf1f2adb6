"""The composite of the curves of many runs."""

from pathlib import Path

from training.evaluation.operating_points import OperatingPoint
from training.reports.provenance import Provenance
from training.studies.sweep_report import SweepResult, SweepRun, sweep_result, write

QUICK = (OperatingPoint(0.3, 0.7, 0.5), OperatingPoint(0.4, 0.8, 0.7), OperatingPoint(0.6, 0.82, 0.9))
EXACT = (OperatingPoint(0.4, 0.6, 0.5), OperatingPoint(0.5, 0.9, 0.7), OperatingPoint(0.7, 0.95, 0.9))
RUNS = [SweepRun("quick", 9, QUICK), SweepRun("exact", 9, EXACT), SweepRun("stopped", 2)]
SPEEDS = {"fast": 0.45, "balanced": 0.65, "at once": 0.1}


def result() -> SweepResult:
    return sweep_result(RUNS, 100, SPEEDS, Provenance("2026-01-01", "rc-train sweep", "a machine", 0))


def test_the_composite_has_the_points_that_no_run_is_more_accurate_than_as_early() -> None:
    points = [(point.run, point.decision_time_s, point.accuracy) for point in result().composite]
    assert points == [("quick", 0.3, 0.7), ("quick", 0.4, 0.8), ("exact", 0.5, 0.9), ("exact", 0.7, 0.95)]


def test_the_best_of_a_speed_is_the_most_accurate_within_its_time_or_the_fastest() -> None:
    best = {speed: (point.run, point.threshold) for speed, point in result().best.items()}
    assert best == {"fast": ("quick", 0.7), "balanced": ("exact", 0.7), "at once": ("quick", 0.5)}


def test_the_page_names_the_best_and_the_data_are_read_back(tmp_path: Path) -> None:
    write(result(), tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "3 runs, 2 of them trained to their end and the others stopped early; 100 validation clips." in page
    assert "| balanced | 650 ms | 90.0% | 500 ms | 0.7 | `exact` |" in page
    assert SweepResult.read(tmp_path / "data.json") == result()
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
