"""`rc-train two-sequence --quick`: rank coding answers earlier, entropy delays it, none beats the optimal test."""

from pathlib import Path

import numpy as np
import pytest

from training.commands.main import main
from training.paper import two_sequence
from training.paper.sequences import two_sequence as two_sequence_problem
from training.paper.toy import SequenceNetwork, ToyScore
from training.paper.two_sequence import FALLING, ONE, StepPoint, TwoSequenceResult

RUN = ["two-sequence", "--quick", "--seeds", "1", "--out"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-sequence")
    assert main([*RUN, str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> TwoSequenceResult:
    return TwoSequenceResult.read(out / "data.json")


def spike(result: TwoSequenceResult, name: str) -> ToyScore:
    return result.runs[name][0].figures.spike


@pytest.mark.learns
def test_rank_coding_answers_earlier_than_training_from_the_end(result: TwoSequenceResult) -> None:
    """Through training, as figure 2B has it: a single checkpoint of so short a run says little."""
    rc, eos = (np.mean([row.mean_step for row in result.runs[name][0].history]) for name in ("rc", "eos"))
    assert rc < eos - 2
    assert spike(result, "rc beta 0.0").accuracy > 0.92
    assert spike(result, "rc beta 0.0").mean_step < 25


def test_an_untrained_network_does_not() -> None:
    untrained = two_sequence.measure(SequenceNetwork(24), count=2000).spike
    assert untrained.accuracy < 0.7
    assert untrained.mean_step == 40


@pytest.mark.learns
def test_the_entropy_term_delays_the_spike(result: TwoSequenceResult) -> None:
    times = [spike(result, f"rc beta {beta}").mean_step for beta in two_sequence.BETAS]
    assert times == sorted(times)
    assert times[-1] > times[0] + 1


@pytest.mark.learns
def test_no_network_beats_the_optimal_test(result: TwoSequenceResult) -> None:
    """At any mean step; the slack is that of 4000 sequences, on which all are measured alike."""
    compared = result.compared
    for way, by_name in compared.accuracy.items():
        for name, seeds in by_name.items():
            for bound, value in zip(compared.limit[FALLING], seeds[0], strict=True):
                assert bound is None or value is None or value <= bound + 0.015, (way, name)


@pytest.mark.learns
def test_all_steps_stay_near_the_optimal_test(result: TwoSequenceResult) -> None:
    """Without a threshold in training."""
    gap = result.compared.farthest["all steps more"][ONE][0]
    assert gap is not None
    assert gap < 0.02


@pytest.mark.learns
def test_cut_at_the_paper_s_step_is_worse_than_rank_coding(result: TwoSequenceResult) -> None:
    cut = result.runs["eos"][0].figures.cut
    rc = spike(result, "rc beta 0.0")
    assert cut[round(rc.mean_step) - 1] < rc.accuracy


def test_the_report_shows_the_paper_beside_ours(out: Path, result: TwoSequenceResult) -> None:
    page = (out / "README.md").read_text()
    rc = 100 * spike(result, "rc").accuracy
    assert f"| RC, first spike: accuracy | 95.45 % | {rc:.2f} % |" in page
    assert f"rc-train two-sequence --quick --seeds 1 --out {out}" in page
    assert {path.name for path in out.glob("*.png")} == {"examples.png", "times.png", "curve.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))


def test_what_was_trained_is_not_trained_again(out: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*.pt")}
    before = (out / "data.json").read_text()
    assert len(written) == 10
    assert main([*RUN, str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*.pt")} == written
    assert (out / "data.json").read_text() == before


def test_accuracy_between_the_points_of_a_curve() -> None:
    curve = [StepPoint(0.8, mean_step=9.0), StepPoint(0.6, mean_step=7.0)]
    values = two_sequence.accuracy_at(curve)
    assert values[:2] == [None, pytest.approx(0.7)]
    assert set(values[2:]) == {None}


def test_how_far_below_the_limit() -> None:
    assert two_sequence.farthest([0.9, 0.95, None], [0.89, 0.9, 0.9]) == pytest.approx(0.05)
    assert two_sequence.farthest([None], [0.9]) is None


def test_the_test_sequences_are_not_those_of_training() -> None:
    sequences, _ = two_sequence.draw_test_sequences(100)
    assert not np.isin(sequences, two_sequence_problem(100, np.random.default_rng([0, 0]))[0]).any()
