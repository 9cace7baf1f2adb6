"""`rc-train temporal-mnist --quick`: two regimes, β between them, EOS later; on made-up digits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.toy_mnist import write_digits
from training.commands import temporal_mnist as rc_train_temporal_mnist
from training.commands.main import main
from training.learning.losses import rank_coding_loss
from training.paper import temporal_mnist as experiment
from training.paper.digits import DigitEpoch, DigitFigures, EarlyAnswers
from training.paper.run_pool import RunResult
from training.paper.temporal_mnist import TemporalMnistResult
from training.paper.temporal_mnist_report import PAPER, is_in, paper_table
from training.reports.provenance import provenance


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, folder = write_digits(tmp_path_factory.mktemp("mnist")), tmp_path_factory.mktemp("temporal-mnist")
    command = ["temporal-mnist", "--data-dir", str(data), "--quick", "--seeds", "1", "--out", str(folder)]
    assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> TemporalMnistResult:
    return TemporalMnistResult.read(out / "data.json")


def last(result: TemporalMnistResult, name: str) -> DigitFigures:
    return result.runs[name][0].figures


@pytest.mark.parametrize("network", ["LSTM 64", "ConvLSTM 2"])
def test_rank_coding_answers_earlier_than_training_from_the_end(result: TemporalMnistResult, network: str) -> None:
    fast, eos = (last(result, f"{network} {kind}") for kind in ("switched", "eos"))
    assert fast.mean_step < eos.mean_step - 1
    assert fast.accuracy > 0.8


@pytest.mark.parametrize("network", ["LSTM 64", "ConvLSTM 2"])
def test_beta_decides_the_regime(result: TemporalMnistResult, network: str) -> None:
    """More of it delays the answer; less of it, later in training, brings the answer forward."""
    fast, slow, switched = (last(result, f"{network} {kind}").mean_step for kind in ("fast", "slow", "switched"))
    assert fast < slow - 1
    assert switched < slow - 1
    varied, lowered = (last(result, f"{network} fast {kind}").mean_step for kind in ("varied", "lowered"))
    assert lowered < varied


def test_the_critical_beta_is_where_a_certain_network_stays_at_the_threshold() -> None:
    """Among outputs that share the rest evenly, equation 7 is least at 0.95."""
    right = torch.linspace(0.9, 0.99, 91).unsqueeze(1)
    logits = torch.cat([right, ((1 - right) / 9).expand(-1, 9)], dim=1).log()
    beta = experiment.critical_beta(0.95, 10)
    losses = torch.stack([rank_coding_loss(row[None], torch.tensor([0]), beta) for row in logits])
    assert right[losses.argmin(), 0].item() == pytest.approx(0.95, abs=0.0015)
    assert experiment.FAST < beta < experiment.SLOW


def test_the_report_shows_the_paper_beside_ours(out: Path, result: TemporalMnistResult) -> None:
    page = (out / "README.md").read_text()
    accuracy = 100 * result.runs["LSTM 64 fast"][0].history[-1].accuracy
    assert f"| fast | LSTM 64 | RC, β 0.165 | 10 |  | {accuracy:.2f} % |" in page
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_full_networks_stand_beside_their_paper_figures() -> None:
    history = [DigitEpoch(1, 0, 0, 0, 0.98, 1.2), DigitEpoch(2, 0, 0, 0, 0.99, 3.0)]
    early = EarlyAnswers(theta=0.85, accuracy=0.97, mean_step=1.3)
    figures = DigitFigures(0.99, 3.0, answers_at_step=[], end_accuracy=0.995, cut=[], early=early)
    run = RunResult({}, history, figures)

    def table(name: str) -> list[str]:
        return paper_table(TemporalMnistResult(provenance("rc-train it", 0), 1, 0.2, {name: [run]}, []))

    lines = table("ConvLSTM 20 fast")
    ours = "99.00 % | 98.00 % | 3.00 | 97.00 % | 1.30 | 0.85 | 99.50 %"
    assert lines[2].startswith(f"| fast | ConvLSTM 20 | RC, β 0.165 | 2 | 99.19 % | {ours} |")
    assert {run.name for runs in experiment.stages(1, quick=False) for run in runs} >= set(PAPER)
    varied = table("ConvLSTM 20 slow varied")
    assert varied[2].startswith("| slow | ConvLSTM 20 | RC, β 0.25, then varied digits | 2 | 99.29 % |")


def test_the_regimes_of_table_1() -> None:
    assert [is_in("fast", step) for step in (1.0, 1.49, 1.6)] == [True, True, False]
    assert [is_in("slow", step) for step in (3.4, 3.6)] == [False, True]


def test_missing_files_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, ...]] = []

    def run(*arguments: Any) -> list[TemporalMnistResult]:
        started.append(arguments)
        return []

    monkeypatch.setattr(rc_train_temporal_mnist, "fetch_mnist", lambda folder, progress: write_digits(folder, 1, 1))
    monkeypatch.setattr(experiment, "run", run)
    assert main(["temporal-mnist", "--data-dir", str(tmp_path / "new"), "--out", "x"]) == 0
    assert (tmp_path / "new" / "t10k-labels-idx1-ubyte.gz").exists()
    assert started[0][:3] == (tmp_path / "new", False, 3)
