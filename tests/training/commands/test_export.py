"""rc-train export."""

from pathlib import Path

from service.spotting.model import Model
from training.commands.main import main


def test_export_again_gives_the_same_model(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    again = tmp_path / "tiny"
    assert main(["export", "--data-dir", str(data), "--checkpoint", str(out / "best.pt"), "--out", str(again)]) == 0
    assert Model(again).metadata == Model(out).metadata
