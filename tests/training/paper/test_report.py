"""`rc-train report`: one page of the experiments that have run, the same for the same folders."""

from pathlib import Path

import pytest

from training.commands.main import main
from training.paper.digits import DigitEpoch, DigitFigures, EarlyAnswers
from training.paper.run_pool import RunResult
from training.paper.temporal_mnist import DigitResult, TemporalMnistResult
from training.reports.provenance import Provenance

MEASURED = Provenance("2030-01-02", "rc-train it", "a machine", 0)
EARLY = EarlyAnswers(theta=0.9, accuracy=0.97, mean_step=1.25)
RUNS: list[DigitResult] = [
    RunResult(
        {},
        [DigitEpoch(1, 0, 0, 0, accuracy, 1.25)],
        DigitFigures(accuracy, 1.25, answers_at_step=[], end_accuracy=accuracy + 0.01, cut=[], early=EARLY),
    )
    for accuracy in (0.9875, 0.9825)
]
MNIST = TemporalMnistResult(MEASURED, seeds=2, critical_beta=0.2, runs={"LSTM 340 fast": RUNS}, shown=[])


def write_run(folder: Path, result: TemporalMnistResult = MNIST) -> None:
    result.write(folder / "data.json")
    (folder / "figure.png").write_bytes(b"a figure")


def test_gathers_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs" / "temporal-mnist")
    write_run(tmp_path / "runs" / "something-else")
    out = tmp_path / "out"
    assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "README.md")
    page = (out / "README.md").read_text()
    assert "## Temporal MNIST" in page
    assert "Seeds: 2. `rc-train it`, 2030-01-02, a machine." in page
    assert "| fast | LSTM 340 | RC, β 0.165 | 1 | 98.14 % | 98.50 ± 0.25 % | 98.75 % | 1.25 ± 0.00 |" in page
    assert "| 99.50 ± 0.25 % | 97.4 % |" in page
    assert "2-sequence" not in page
    assert "![figure](figures/temporal-mnist-figure.png)" in page
    assert [path.name for path in (out / "figures").iterdir()] == ["temporal-mnist-figure.png"]
    assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert (out / "README.md").read_text() == page


def test_keeps_sections_of_experiments_that_have_no_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "temporal-mnist")
    page = tmp_path / "README.md"
    kept = "\n## Continuous sequence spotting, section 3.1\n\nkept\n\n\n"
    replaced = "\n## Temporal MNIST, section 3.3\n\nreplaced\n\n\n## Spoken keywords, section 3.4\n\nkept too\n"
    page.write_text(f"# Old\n{kept}{replaced}")
    assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]) == 0
    written = page.read_text()
    assert kept in written
    assert "replaced" not in written
    assert written.index("kept") < written.index("LSTM 340") < written.index("kept too")
    assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]) == 0
    assert page.read_text() == written


def test_nothing_to_gather(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--runs", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "expected NAME/data.json of one of sequence-spotting" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"seeds": "several"}'])
def test_a_file_that_is_not_a_result_is_named(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "temporal-mnist")
    (tmp_path / "temporal-mnist" / "data.json").write_text(content)
    assert main(["report", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rc-train: {tmp_path}/temporal-mnist/data.json: ")
