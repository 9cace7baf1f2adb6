"""`rc-train sequence-spotting --quick`: positives are told at the earliest step; measures on sequences made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.cli import main
from training.paper import sequence_spotting as spotting
from training.paper.sequences import earliest
from training.paper.toy import SequenceNetwork


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence-spotting")
    assert main(["sequence-spotting", "--quick", "--seeds", "1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def test_rank_coding_tells_positives_at_the_earliest_step(found: dict[str, Any]) -> None:
    rc = found["runs"]["rc more"][0]["at_theta"]["0.98"]
    assert rc["accuracy"] > 0.95
    assert rc["positives_at_earliest"] > 0.8
    assert rc["negatives_before_end"] > 0.3


def test_an_untrained_network_does_not() -> None:
    untrained = spotting.measure(SequenceNetwork(24), count=2000)["first_spike"]
    assert untrained["accuracy"] < 0.7
    assert untrained["positives_at_earliest"] == 0


def test_training_from_the_end_tells_fewer_positives_in_time(found: dict[str, Any]) -> None:
    eos = found["runs"]["eos"][0]["first_spike"]
    assert eos["positives_at_earliest"] < found["runs"]["rc more"][0]["at_theta"]["0.98"]["positives_at_earliest"] - 0.2


def test_the_optimal_observer_is_never_wrong_or_late(found: dict[str, Any]) -> None:
    for theta, limit in found["limit"]["at_theta"].items():
        if float(theta) >= 0.95:
            assert (limit["accuracy"], limit["positives_at_earliest"], limit["no_spike"]) == (1, 1, 0)
            assert 20 < limit["negatives_mean_step"] < 24


def test_the_report_shows_the_paper_beside_ours(out: Path, found: dict[str, Any]) -> None:
    page = (out / "report.md").read_text()
    rc = 100 * found["runs"]["rc"][0]["first_spike"]["accuracy"]
    assert f"| RC: accuracy | 100 % | {rc:.2f} % | 100.00 % |" in page
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


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
    in_time = spotting.first_spikes(outputs((0, 4, 0.99), (1, 20, 0.01)), due, LABELS, 0.95)
    assert (in_time["accuracy"], in_time["positives_at_earliest"], in_time["negatives_before_end"]) == (1, 1, 1)
    assert in_time["negatives_mean_step"] == 21
    late = spotting.first_spikes(outputs((0, 5, 0.99), (1, 24, 0.01)), due, LABELS, 0.95)
    assert (late["positives_at_earliest"], late["positives_late"], late["negatives_before_end"]) == (0, 1, 0)
    wrong = spotting.first_spikes(outputs((0, 2, 0.01), (0, 4, 0.99)), due, LABELS, 0.95)
    assert (wrong["positives_at_earliest"], wrong["first_is_negative"], wrong["no_spike"]) == (0, 0.5, 0.5)


def test_positive_only_ignores_negative_spikes() -> None:
    scheme = spotting.positive_only(outputs((0, 2, 0.01), (0, 5, 0.99)), earliest(SEQUENCES), LABELS)
    assert scheme == {
        "accuracy": 1,
        "positives_at_earliest": 0,
        "positives_one_late": 1,
        "positives_later": 0,
    }
