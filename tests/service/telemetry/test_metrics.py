"""What is told and what is shown: the dashboard asks for what there is, and for all of it."""

import json
import re

from service.telemetry.metrics import Metrics
from tests.support.paths import ROOT

DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())


def names(metrics: Metrics) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", metrics.text().decode(), re.MULTILINE))


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    exprs = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    asked = set(re.findall(r"\b(?:kws|process)_\w+", exprs))
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    told = names(Metrics())
    assert {name for name in told if name.startswith("kws_") and not name.endswith("_created")} <= asked
    assert asked <= told


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def test_models_that_are_gone_are_told_as_gone() -> None:
    metrics = Metrics()
    one = {"name": "a", "version": "1", "sha256": "00", "default": True}
    metrics.models([one])
    metrics.models([{**one, "version": "2"}])
    text = metrics.text().decode()
    assert 'kws_model_info{default="true",name="a",sha256="00",version="1"} 0.0' in text
    assert 'kws_model_info{default="true",name="a",sha256="00",version="2"} 1.0' in text
