"""`rc-train speech --study --quick`: rank coding answers early and right, entropy delays it, nothing is done twice."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.toy_dataset import write_words
from training.cli import main
from training.data.recordings import labels_for
from training.model.network import Network
from training.paper import speech_study
from training.paper.speech_study import Heard, curve, point, tune

LABELS = labels_for(["up", "down"])


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("study")
    data = write_words(folder / "words")
    study = ["speech", "--study", "--quick", "--seeds", "1", "--data-dir", str(data), "--keywords", "up,down"]
    return [*study, "--out", str(folder / "speech-study")]


@pytest.fixture(scope="module")
def out(command: list[str]) -> Path:
    assert main(command) == 0
    return Path(command[-1])


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def last_epoch(found: dict[str, Any], name: str) -> dict[str, float]:
    row: dict[str, float] = found["runs"][name][0]["history"][-1]
    return row


def test_rank_coding_learns_to_answer_early_and_training_from_the_end_does_not(found: dict[str, Any]) -> None:
    rc, eos = (last_epoch(found, name) for name in ("rc beta 0.0", "eos"))
    assert rc["validation_accuracy"] > 0.9
    assert eos["validation_end_accuracy"] > 0.9
    assert eos["validation_accuracy"] < 0.8  # it is sure too early, of the wrong word
    assert earliest(found, "rc beta 0.0") < earliest(found, "eos") - 0.1


def earliest(found: dict[str, Any], name: str) -> float:
    """The least mean decision time at which any one threshold makes 90 % of the test clips right."""
    points = found["runs"][name][0]["test"]["one threshold"]
    return min(each["decision_time_s"] for each in points if each["accuracy"] > 0.9)


def test_the_entropy_term_delays_the_spike(found: dict[str, Any]) -> None:
    early, late = (last_epoch(found, f"rc beta {beta}")["validation_spike_s"] for beta in speech_study.QUICK_BETAS)
    assert late > early + 0.1


@pytest.mark.parametrize("name", ["all-steps", "max-pool"])
def test_each_control_learns_the_words(found: dict[str, Any], name: str) -> None:
    share_of_others = 0.5
    assert max(each["accuracy"] for each in found["runs"][name][0]["test"]["one threshold"]) > share_of_others + 0.2


def test_max_pooling_hears_what_is_no_keyword_to_its_end(found: dict[str, Any]) -> None:
    """Half of the clips, so at every threshold that they do not reach."""
    assert found["runs"]["max-pool"][0]["test"]["spike"]["decision_time_s"] > 0.5


def test_thresholds_by_block_are_no_worse_on_validation_than_one(found: dict[str, Any]) -> None:
    for (one,) in found["runs"].values():
        for cost, tuned in zip(speech_study.COSTS, one["validation"]["by block"], strict=True):
            best = max(gain(each, cost) for each in one["validation"]["one threshold"])
            assert gain(tuned, cost) >= best - 1e-9


def gain(found: dict[str, float], cost: float) -> float:
    return found["accuracy"] - cost * found["decision_time_s"]


def test_work_shrinks_with_the_spike_time(found: dict[str, Any]) -> None:
    sequences = 30 * 9  # batches of eight clips and a silence
    steps = {name: [row["steps_run"] for row in runs[0]["history"]] for name, runs in found["runs"].items()}
    assert set(steps["eos"]) == set(steps["max-pool"]) == {sequences * 50}
    spikes = sequences * last_epoch(found, "rc beta 0.0")["spike_s"] * 50
    assert spikes <= steps["rc beta 0.0"][-1] < 0.95 * steps["eos"][-1]


def test_the_report_answers_the_claim_from_the_test_split(out: Path, found: dict[str, Any]) -> None:
    page = (out / "report.md").read_text()
    assert "- eos: ahead at " in page
    at = found["compared"]["one threshold"]
    row = [f"{100 * at[name][0][8]:.2f}" for name in ("rc, best β", "rc beta 0.0")]
    assert f"| 700 | {' | '.join(row)} |" in page
    assert "24 test clips by 6 speakers" in page
    assert {path.name for path in out.glob("*.png")} == {"training.png", "curve.png", "thresholds.png", "saving.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))


def test_the_page_of_all_experiments_has_the_study(out: Path, found: dict[str, Any], tmp_path: Path) -> None:
    assert main(["report", "--runs", str(out.parent), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    accuracy = 100 * found["runs"]["rc beta 0.0"][0]["test"]["spike"]["accuracy"]
    assert f"| rc beta 0.0 | {accuracy:.2f} | " in page
    assert "- eos: ahead at " in page
    assert "![thresholds](figures/speech-study-thresholds.png)" in page


def test_what_was_trained_is_not_trained_again(command: list[str], out: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")}
    before = (out / "report.json").read_text()
    assert len(written) == 5
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")} == written
    assert (out / "report.json").read_text() == before


def test_the_full_study_has_the_paper_s_network_and_one_threshold() -> None:
    first, second = (speech_study.runs(LABELS, seed, quick=False) for seed in (0, 1))
    assert set(first) - set(second) == {"eos beta 0.2", "eos beta 0.4", "max-pool"}
    assert [name for name in second if name.startswith("rc")] == [f"rc beta 0.{i}" for i in range(5)]
    assert {(one.theta_low, one.theta) for one in first.values()} == {(0.95, 0.95)}
    assert {
        (one.network.hidden, one.network.dense, one.network.bands, one.network.context) for one in first.values()
    } == {(128, 32, 20, 10)}


def test_operations_are_those_of_matrix_products() -> None:
    """Two for each weight forward, two backward for its gradient, two for that of what it was multiplied with."""
    settings = speech_study.runs(LABELS, 0, quick=False)["eos"]
    weights = {name: each.numel() for name, each in Network(settings.network).named_parameters() if each.dim() > 1}
    features = weights["lstm.weight_ih_l0"]  # nothing is learnt before them
    assert speech_study.flop_a_step(settings) == pytest.approx(6 * sum(weights.values()) - 2 * features, rel=0.02)


def heard(clips: int = 400, steps: int = 20) -> Heard:
    """Outputs that are sure early and wrong before the middle, and as sure and right after it."""
    generator = torch.Generator().manual_seed(0)
    right = torch.arange(steps).expand(clips, steps) >= steps // 2
    return Heard(torch.rand(clips, steps, generator=generator), right, 0.05)


def test_a_point_is_the_first_crossing() -> None:
    sure = torch.tensor([[0.2, 0.6, 0.9], [0.3, 0.3, 0.4]])
    right = torch.tensor([[False, True, False], [False, False, True]])
    assert point(Heard(sure, right, 0.1), 0.5) == {"decision_time_s": pytest.approx(0.25), "accuracy": 1.0}
    assert point(Heard(sure, right, 0.1), torch.tensor([0.3, 0.5, 0.5]))["accuracy"] == 0.5


def test_tuned_thresholds_beat_one_where_time_tells_what_outputs_do_not() -> None:
    tuned = tune(heard(), cost=0.1)
    best = max(gain(each, 0.1) for each in curve(heard()))
    assert gain(point(heard(), tuned), 0.1) > best + 0.02
    assert tuned[9] > 0.99 > 0.2 > tuned[10]


def test_the_best_beta_is_chosen_on_validation() -> None:
    def one(validation: float, test: float) -> dict[str, Any]:
        splits = {"validation": validation, "test": test}
        return {split: {"way": [{"decision_time_s": 0.1, "accuracy": value}]} for split, value in splits.items()}

    chosen = speech_study.best_beta([one(0.9, 0.5), one(0.8, 0.7)], "way")
    assert chosen == [0.5] * len(speech_study.SECONDS)
