"""Metrics, and the dashboard that shows all of them."""

import json
import re

from service.spotting.engine import InferenceTiming
from service.telemetry.metrics import Metrics
from tests.support.paths import ROOT

DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())


def names(metrics: Metrics) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+)", metrics.text().decode(), re.MULTILINE))


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    exprs = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    shown = set(re.findall(r"\b(?:kws|process)_\w+", exprs))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    exported = names(Metrics())
    assert {name for name in exported if name.startswith("kws_") and not name.endswith("_created")} <= shown
    assert shown <= exported


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def test_models_no_longer_served_are_reported_as_0() -> None:
    metrics = Metrics()
    metrics.record_models([("a", "1", "00", True)])
    metrics.record_models([("a", "2", "00", True)])
    text = metrics.text().decode()
    assert 'kws_model_info{default="true",name="a",sha256="00",version="1"} 0.0' in text
    assert 'kws_model_info{default="true",name="a",sha256="00",version="2"} 1.0' in text


def test_a_run_counts_once_from_the_message_that_waited_longest() -> None:
    metrics = Metrics()
    metrics.record_run(InferenceTiming(waiting_since=1.0, began=1.5, ended=1.75, streams=3), now=2.0)
    lines = dict(line.rsplit(" ", 1) for line in metrics.text().decode().splitlines() if not line.startswith("#"))
    sums = {name: float(lines[f"kws_{name}_sum"]) for name in ("queue_seconds", "compute_seconds", "server_seconds")}
    assert sums == {"queue_seconds": 0.5, "compute_seconds": 0.25, "server_seconds": 1.0}
    assert (lines["kws_batch_streams_sum"], lines["kws_server_seconds_count"]) == ("3.0", "1.0")
