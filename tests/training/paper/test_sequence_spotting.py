"""`rc-train sequence-spotting --quick`: positives are answered at the earliest step; measures on known sequences."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.commands.main import main
from training.paper.sequence_spotting import (
    DEPARTURES,
    PositiveSpikes,
    SequenceSpottingResult,
    first_spikes,
    measure,
    positive_only,
    runs_of,
)
from training.paper.sequence_spotting_report import paper_table
from training.paper.sequences import earliest
from training.paper.toy import SequenceNetwork


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence-spotting")
    assert main(["sequence-spotting", "--quick", "--seeds", "1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> SequenceSpottingResult:
    return SequenceSpottingResult.read(out / "data.json")


@pytest.mark.learns
def test_rank_coding_answers_positives_at_the_earliest_step(result: SequenceSpottingResult) -> None:
    rc = result.runs["rc more"][0].figures.at_theta["0.98"]
    assert rc.accuracy > 0.95
    assert rc.positives_at_earliest > 0.8
    assert rc.negatives_before_end > 0.3


@pytest.mark.learns
def test_all_steps_answer_right(result: SequenceSpottingResult) -> None:
    """Sure of a run one step after it, in so short a training."""
    all_steps = result.runs["all steps more"][0].figures.at_theta["0.98"]
    assert all_steps.accuracy > 0.98
    assert all_steps.positives_at_earliest + all_steps.positives_late > 0.9


def test_an_untrained_network_does_not() -> None:
    untrained = measure(SequenceNetwork(24), count=2000).first_spike
    assert untrained.accuracy < 0.7
    assert untrained.positives_at_earliest == 0


@pytest.mark.learns
def test_training_from_the_end_answers_fewer_positives_in_time(result: SequenceSpottingResult) -> None:
    eos, rc = (result.runs[name][0].figures for name in ("eos", "rc more"))
    assert eos.first_spike.positives_at_earliest < rc.at_theta["0.98"].positives_at_earliest - 0.2


def test_the_optimal_observer_is_never_wrong_or_late(result: SequenceSpottingResult) -> None:
    for theta, limit in result.limit.at_theta.items():
        if float(theta) >= 0.95:
            assert (limit.accuracy, limit.positives_at_earliest, limit.no_spike) == (1, 1, 0)
            assert 20 < limit.negatives_mean_step < 24


def test_the_report_shows_the_paper_beside_ours(out: Path, result: SequenceSpottingResult) -> None:
    page = (out / "README.md").read_text()
    rc = 100 * result.runs["rc"][0].figures.first_spike.accuracy
    assert f"| RC: accuracy | 100 % | {rc:.2f} % | 100.00 % |" in page
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_departures_change_one_setting_and_see_as_many_examples() -> None:
    runs = {settings.name: settings for settings in runs_of(0, quick=False)}
    rc = runs["rc"]
    for name in DEPARTURES:
        examples = sum(settings.examples for settings in (runs[name], runs[name].initial_run) if settings)
        assert examples == rc.examples * (2 if "twice" in name else 1), name
        changed = [field.name for field in fields(rc) if getattr(runs[name], field.name) != getattr(rc, field.name)]
        assert set(changed) - {"name", "examples", "theta_low"} == {
            "rc rate 0.001": {"learning_rate"},
            "rc falling rate": {"falling_rate"},
            "rc clipped": {"clip_norm"},
            "rc threshold 0.97": {"theta"},
        }.get(name, {"initial_run"}), name


def test_the_page_has_the_departures(result: SequenceSpottingResult) -> None:
    runs = result.runs | dict.fromkeys(DEPARTURES, result.runs["eos"])
    eos = result.runs["eos"][0].figures.at_theta["0.95"]
    row = f"| rc clipped | {100 * eos.accuracy:.2f} % | {100 * eos.positives_at_earliest:.2f} % |"
    assert any(line.startswith(row) for line in paper_table(replace(result, runs=runs)))


SEQUENCES = np.array([[1.0] * 5 + [0, 1] * 10, [0, 1] * 12 + [0]])  # a run that ends at step 4, and none
LABELS = np.array([1, 0])


def outputs(*spikes: tuple[int, int, float]) -> Any:
    """Unsure everywhere but at (row, step)."""
    probability = np.full(SEQUENCES.shape, 0.5)
    for row, step, value in spikes:
        probability[row, step] = value
    return probability


def test_first_spikes_in_time_late_and_wrong() -> None:
    due = earliest(SEQUENCES)
    in_time = first_spikes(outputs((0, 4, 0.99), (1, 20, 0.01)), due, LABELS, 0.95)
    assert (in_time.accuracy, in_time.positives_at_earliest, in_time.negatives_before_end) == (1, 1, 1)
    assert in_time.negatives_mean_step == 21
    late = first_spikes(outputs((0, 5, 0.99), (1, 24, 0.01)), due, LABELS, 0.95)
    assert (late.positives_at_earliest, late.positives_late, late.negatives_before_end) == (0, 1, 0)
    wrong = first_spikes(outputs((0, 2, 0.01), (0, 4, 0.99)), due, LABELS, 0.95)
    assert (wrong.positives_at_earliest, wrong.first_is_negative, wrong.no_spike) == (0, 0.5, 0.5)


def test_positive_only_ignores_negative_spikes() -> None:
    scheme = positive_only(outputs((0, 2, 0.01), (0, 5, 0.99)), earliest(SEQUENCES), LABELS)
    assert scheme == PositiveSpikes(accuracy=1, positives_at_earliest=0, positives_one_late=1, positives_later=0)
