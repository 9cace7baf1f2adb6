"""rc-train compare."""

from pathlib import Path

from training.commands.main import main
from training.studies.rc_vs_eos import RcVsEos


def test_compare_writes_both_curves(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    assert main(["compare", "--rc", str(out), "--eos", str(out), "--data-dir", str(data), "--out", str(tmp_path)]) == 0
    result = RcVsEos.read(tmp_path / "data.json")
    assert result.curves["rc"] == result.curves["eos"]
    assert "| 300 ms |" in (tmp_path / "README.md").read_text()
