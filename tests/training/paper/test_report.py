"""`rc-train report`: one page of the experiments that have run, the same for the same folders."""

import json
from pathlib import Path

import pytest

from training.cli import main

MEASURED = {"date": "2030-01-02", "command": "rc-train it", "machine": "a machine"}
EARLY = {"theta": 0.9, "accuracy": 0.97, "mean_step": 1.25}
MNIST = {
    "measured": MEASURED,
    "seeds": 2,
    "runs": {
        "LSTM 340 fast": [
            {"history": [{"accuracy": accuracy, "mean_step": 1.25}], "early": EARLY, "end_accuracy": accuracy + 0.01}
            for accuracy in (0.9875, 0.9825)
        ],
    },
}


def write_run(folder: Path, result: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(result))
    (folder / "figure.png").write_bytes(b"a figure")


def test_gathers_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs" / "temporal-mnist", MNIST)
    write_run(tmp_path / "runs" / "something-else", {})
    out = tmp_path / "out"
    out.mkdir()
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
    write_run(tmp_path / "runs" / "temporal-mnist", MNIST)
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
    assert "expected NAME/report.json of one of sequence-spotting" in capsys.readouterr().err
