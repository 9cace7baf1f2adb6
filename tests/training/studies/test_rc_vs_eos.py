"""The comparison of RC and EOS runs: the same clips for all, accuracy at the same times, a page of both."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_run import CPU, SETTINGS
from tests.support.toy_dataset import WORDS, write_words
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.evaluation.operating_points import THRESHOLDS, OperatingPoint
from training.learning.loop import train
from training.reports.provenance import Provenance
from training.studies.rc_vs_eos import SECONDS, RcVsEos, compare_runs, page, write

MEASURED = Provenance("2030-01-02", "rc-train compare", "a machine", 0)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RcVsEos:
    """Two seeds of one epoch beside the first of them again; the folder has a word that is measured separately."""
    folder = write_words(tmp_path_factory.mktemp("data") / "words", train=6, other=3)
    data = load_training_data(DataSources(folder), SETTINGS.labels)
    runs = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train(replace(SETTINGS, epochs=1, seed=seed), data, runs / f"{seed}", CPU)
    shutil.copytree(folder / "cat", folder / "on")
    return compare_runs([runs / "0", runs / "1"], [runs / "0"], folder, "validation", MEASURED)


def test_all_runs_are_measured_on_the_same_clips_without_separate_words(result: RcVsEos) -> None:
    assert (result.split, result.clips) == ("validation", 3 * len(WORDS))
    assert [[len(curve) for curve in curves] for curves in result.curves.values()] == [
        [len(THRESHOLDS)] * 2,
        [len(THRESHOLDS)],
    ]
    assert result.curves["rc"][0] == result.curves["eos"][0] != result.curves["rc"][1]


def test_the_page_has_mean_and_spread_over_seeds() -> None:
    curve = [OperatingPoint(SECONDS[0], 0.5, 0.2), OperatingPoint(SECONDS[-1], 0.9, 0.9)]
    result = RcVsEos(
        "test", 10, SECONDS, {"rc": [curve]}, {"rc": [[0.5] * 13, [0.7] * 13], "eos": [[0.4] * 13]}, MEASURED
    )
    assert "| 300 ms | 60.0 ± 10.0 % | 40.0 ± 0.0 % | +20.0 |" in page(result)
    assert "test split, 10 clips, 2 seeds each" in page(result)


def test_the_folder_has_page_data_and_figure(result: RcVsEos, tmp_path: Path) -> None:
    write(result, tmp_path / "new" / "rc-vs-eos")
    out = tmp_path / "new" / "rc-vs-eos"
    assert RcVsEos.read(out / "data.json") == result
    assert (out / "README.md").read_text() == page(result)
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
