"""`rc-train speech --study --quick`: rank coding answers early and right, entropy delays it, nothing is done twice."""

import re
from pathlib import Path

import pytest
import torch

from tests.support.toy_dataset import write_words
from training.commands.main import main
from training.data.labels import Labels
from training.data.training_data import ClipSet
from training.evaluation.operating_points import OperatingPoint, TimedAccuracy
from training.learning.checkpoint import read_checkpoint
from training.learning.run import EpochMetrics
from training.model.network import Network
from training.paper import speech_study
from training.paper.speech_study import (
    ONE,
    WAITING,
    SplitFigures,
    StudyFigures,
    StudyResult,
)
from training.paper.speech_study_plots import epochs
from training.paper.stopping import COSTS, NetworkOutputs, curve, point, tune
from training.studies.rc_vs_eos import SECONDS

LABELS = Labels(("up", "down"))


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
def result(out: Path) -> StudyResult:
    return StudyResult.read(out / "data.json")


def last_epoch(result: StudyResult, name: str) -> EpochMetrics:
    return result.runs[name][0].history[-1]


@pytest.mark.learns
def test_rank_coding_learns_to_answer_early_and_training_from_the_end_does_not(result: StudyResult) -> None:
    """Of words that begin alike."""
    rc, eos = (last_epoch(result, name) for name in ("rc beta 0.0", "eos"))
    assert rc.validation_accuracy > 0.6
    assert rc.validation_spike_s < 0.6
    assert eos.validation_end_accuracy > 0.9
    assert eos.validation_accuracy < 0.3  # it spikes too early, on the wrong word


@pytest.mark.learns
def test_the_entropy_term_delays_the_spike(result: StudyResult) -> None:
    early, late = (last_epoch(result, f"rc beta {beta}").validation_spike_s for beta in speech_study.QUICK_BETAS)
    assert late > early + 0.1


@pytest.mark.learns
@pytest.mark.parametrize("name", ["all-steps", "certainty", "max-pool"])
def test_each_other_method_learns_the_words(result: StudyResult, name: str) -> None:
    share_of_others = 0.5
    assert max(p.accuracy for p in result.runs[name][0].figures.test.curve) > share_of_others + 0.1


def test_max_pooling_runs_other_words_to_their_end(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where training from the last step answers a certain `_unknown_` at once."""
    unknown = torch.zeros(3, 50, len(LABELS.all))
    unknown[..., LABELS.unknown] = 1.0
    monkeypatch.setattr(speech_study, "posteriors", lambda *_: unknown)
    clips = ClipSet(torch.zeros(3, 16_000, dtype=torch.int16), torch.full((3,), LABELS.unknown))
    decision_s = {}
    for name in ("max-pool", "eos"):
        saved = read_checkpoint(out / "runs" / f"{name} seed 0" / "last.pt")
        answered = point(speech_study.run_network(saved, clips), speech_study.THETA)
        assert answered.accuracy == 1
        decision_s[name] = answered.decision_time_s
    assert decision_s["max-pool"] > 50 * decision_s["eos"] - 1e-6


def test_thresholds_by_block_are_no_worse_on_validation_than_one(result: StudyResult) -> None:
    for (run,) in result.runs.values():
        validation = run.figures.validation
        for cost, tuned in zip(COSTS, validation.by_block, strict=True):
            best = max(gain(p, cost) for p in validation.curve)
            assert gain(tuned, cost) >= best - 1e-9


@pytest.mark.learns
def test_the_value_of_waiting_is_measured_on_test_for_every_run(result: StudyResult) -> None:
    """At a high price of time the answer comes as soon as a word has begun, at a low one later and more often right."""
    (run,) = result.runs["all-steps"]
    first, *_, last = run.figures.validation.by_waiting
    assert first.decision_time_s < last.decision_time_s
    assert first.accuracy < last.accuracy
    assert {len(seeds[0]) for seeds in result.compared[WAITING].values()} == {len(SECONDS)}


def gain(point: TimedAccuracy, cost: float) -> float:
    return point.accuracy - cost * point.decision_time_s


@pytest.mark.learns
def test_work_shrinks_with_the_spike_time(result: StudyResult) -> None:
    sequences = 30 * 9  # batches of eight clips and a silence
    steps = {name: epochs(runs, "steps_run")[0] for name, runs in result.runs.items()}
    assert set(steps["eos"]) == set(steps["max-pool"]) == {sequences * 50}
    spikes = sequences * epochs(result.runs["rc beta 0.0"], "spike_s")[0, -1] * 50
    assert spikes <= steps["rc beta 0.0"][-1] < 0.95 * steps["eos"][-1]


def test_the_report_answers_the_claim_from_the_test_split(out: Path, result: StudyResult) -> None:
    page = (out / "README.md").read_text()
    assert re.search(r"^- eos: (ahead|level|behind) at [\d, ]+ ms", page, re.MULTILINE)
    at = result.compared[ONE]
    row = [f"{100 * at[name][0][8]:.2f}" for name in ("rc, best β", "rc beta 0.0")]
    assert f"| 700 | {' | '.join(row)} |" in page
    assert "24 test clips by 6 speakers" in page
    assert {path.name for path in out.glob("*.png")} == {"training.png", "curve.png", "thresholds.png", "saving.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))


def test_the_page_of_all_experiments_has_the_study(out: Path, result: StudyResult, tmp_path: Path) -> None:
    assert main(["report", "--runs", str(out.parent), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    accuracy = 100 * result.runs["rc beta 0.0"][0].figures.test.spike.accuracy
    assert f"| rc beta 0.0 | {accuracy:.2f} | " in page
    assert re.search(r"^- eos: (ahead|level|behind) at [\d, ]+ ms", page, re.MULTILINE)
    assert "![thresholds](figures/speech-study-thresholds.png)" in page


def test_what_was_trained_is_not_trained_again(command: list[str], out: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")}
    before = (out / "data.json").read_text()
    assert len(written) == 6
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")} == written
    assert (out / "data.json").read_text() == before


def test_the_full_study_has_the_paper_s_network_and_one_threshold() -> None:
    first, second = (speech_study.runs_of(LABELS, seed, quick=False) for seed in (0, 1))
    assert set(first) - set(second) == {"eos beta 0.2", "eos beta 0.4", "max-pool"}
    assert [name for name in second if name.startswith("rc")] == [f"rc beta 0.{i}" for i in range(5)]
    assert {(run.theta_low, run.theta) for run in first.values()} == {(0.95, 0.95)}
    assert {
        (run.network.hidden, run.network.dense, run.network.bands, run.network.context) for run in first.values()
    } == {(128, 32, 20, 10)}


def test_operations_are_those_of_matrix_products() -> None:
    """Two for each weight forward, two backward for its gradient, two for that of what it was multiplied with."""
    settings = speech_study.runs_of(LABELS, 0, quick=False)["eos"]
    weights = {name: w.numel() for name, w in Network(settings.network).named_parameters() if w.dim() > 1}
    features = weights["lstm.weight_ih_l0"]  # nothing before them is trained
    assert speech_study.flop_per_step(settings) == pytest.approx(6 * sum(weights.values()) - 2 * features, rel=0.02)


def of(highest: torch.Tensor, right: torch.Tensor, step_s: float) -> NetworkOutputs:
    """Outputs of which nothing is known that the value of waiting would need."""
    return NetworkOutputs(highest, right, step_s, torch.zeros(*highest.shape, 1))


def outputs(clips: int = 400, steps: int = 20) -> NetworkOutputs:
    """Outputs that are as high before the middle, where they are wrong, as after it, where they are right."""
    generator = torch.Generator().manual_seed(0)
    right = torch.arange(steps).expand(clips, steps) >= steps // 2
    return of(torch.rand(clips, steps, generator=generator), right, 0.05)


def test_a_point_is_the_first_crossing() -> None:
    highest = torch.tensor([[0.2, 0.6, 0.9], [0.3, 0.3, 0.4]])
    right = torch.tensor([[False, True, False], [False, False, True]])
    assert point(of(highest, right, 0.1), 0.5).decision_time_s == pytest.approx(0.25)
    assert point(of(highest, right, 0.1), 0.5).accuracy == 1.0
    assert point(of(highest, right, 0.1), torch.tensor([0.3, 0.5, 0.5])).accuracy == 0.5


def test_tuned_thresholds_beat_one_where_time_predicts_what_outputs_do_not() -> None:
    tuned = tune(outputs(), cost=0.1)
    best = max(gain(p, 0.1) for p in curve(outputs()))
    assert gain(point(outputs(), tuned), 0.1) > best + 0.02
    assert tuned[9] > 0.99 > 0.2 > tuned[10]


def test_the_best_beta_is_chosen_on_validation() -> None:
    def run(**accuracy: float) -> StudyFigures:
        validation, test = (
            SplitFigures(TimedAccuracy(0.1, 0.0), [OperatingPoint(0.1, accuracy[split], 0.5)], [], [])
            for split in ("validation", "test")
        )
        return StudyFigures("best", [], validation, test)

    chosen = speech_study.best_beta([run(validation=0.9, test=0.5), run(validation=0.8, test=0.7)], ONE)
    assert chosen == [0.5] * len(SECONDS)
