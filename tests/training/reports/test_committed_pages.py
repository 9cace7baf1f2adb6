"""Committed pages are what their committed data give; data of older versions can still be read."""

from pathlib import Path
from typing import Any

import pytest

from service.spotting.model import Model
from tests.support.paths import ROOT
from training.evaluation.stream_metrics import (
    DetectionMetrics,
    EmbeddedKeywords,
    FiredShare,
    PrefixMetrics,
    RecordingSpread,
)
from training.evaluation.stream_report import MissesOverTime, StreamFigures, StreamMeasurement, SweepPoint, SweptStream
from training.records import RecordError
from training.reports.model_card import model_card
from training.reports.model_report import ModelReport
from training.studies import custom_keywords, rc_vs_eos

MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/report.json"))
RESULTS = ROOT / "docs" / "results"


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_card_is_what_its_report_gives(folder: Path) -> None:
    card = model_card(Model(folder).metadata, ModelReport.read(folder / "report.json"))
    assert card == (folder / "README.md").read_text()


def test_the_page_of_rc_and_eos_is_what_its_data_give() -> None:
    folder = RESULTS / "rc-vs-eos"
    assert rc_vs_eos.page(rc_vs_eos.RcVsEos.read(folder / "data.json")) == (folder / "README.md").read_text()


def test_the_page_of_custom_keywords_is_what_its_data_give() -> None:
    folder = RESULTS / "custom-keywords"
    study = custom_keywords.KeywordStudy.read(folder / "data.json")
    assert custom_keywords.page(study) == (folder / "README.md").read_text()


STREAM: dict[str, Any] = {
    "hours": 1.0,
    "keywords": 4,
    "misses": None,
    "false_alarms_per_hour": 2,
    "decision": None,
    "labels": {},
}
OLD_STREAM = {**STREAM, "doubles": 1, "inside": {"said": 3, "found": 2}}
OLD_SPREAD = {"recordings": 5, "with_alarms": 1, "interval": [0.0, 2.5]}
OLD_MEASUREMENT = {
    "speech": {**OLD_STREAM, "by_recording": OLD_SPREAD},
    "prefixes": {"groups": {"short parts": {"said": 2, "fired": 0.5}}, "labels": {"up": {"cat": [1, 2]}}},
    "first_and_last_misses": {"hours": 0.5, "first": None, "last": 0.1},
}


def test_streams_in_older_reports_are_read() -> None:
    old = {
        "seed": 0,
        "confirm_ms": {},
        "speeds": {"fast": OLD_MEASUREMENT},
        "operating_points": {"together": {"thresholds": {"up": 0.5}, **OLD_MEASUREMENT}},
        "det": [{"scale": 1.0, "thresholds": {"up": 0.5}, "speech": {**STREAM, "misses": 0.5}}],
    }
    measurement = StreamMeasurement(
        streams={
            "speech": DetectionMetrics(
                1.0, 4, None, 2.0, 1, EmbeddedKeywords(3, 2), None, {}, RecordingSpread(5, 1, (0.0, 2.5))
            )
        },
        prefixes=PrefixMetrics({"short parts": FiredShare(2, 0.5)}, {"up": {"cat": (1, 2)}}),
        first_and_last_misses=MissesOverTime(0.5, None, 0.1),
    )
    figures = StreamFigures.from_json(old)
    assert figures.speeds == {"fast": measurement}
    assert figures.operating_points["together"].measured == measurement
    assert figures.det == [SweepPoint(1.0, {"up": 0.5}, {"speech": SweptStream(0.5, 2.0, {})})]
    assert StreamFigures.from_json(figures.to_json()) == figures


def test_another_file_is_refused_with_the_first_wrong_field() -> None:
    with pytest.raises(RecordError, match=r"ModelReport: speeds: Field required, got \{'curve': \[\]\}"):
        ModelReport.from_json({"curve": []})
