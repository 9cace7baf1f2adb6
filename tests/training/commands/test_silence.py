"""rc-train silence."""

from dataclasses import replace
from pathlib import Path

from service.spotting.model import Model
from training.commands.main import main


def test_the_rule_of_silence_is_a_setting_of_export_and_can_be_changed(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, out = run
    before, again = Model(out), tmp_path / "tiny"
    assert before.metadata.silence == {"level": 0.001, "after_s": 1.0}
    export = ["export", "--data-dir", str(data), "--checkpoint", str(out / "best.pt"), "--out", str(again)]
    assert main([*export, "--silence-dbfs", "-40", "--silence-after", "0.5"]) == 0
    assert Model(again).metadata.silence == {"level": 0.01, "after_s": 0.5}
    assert main(["silence", "--model", str(again), "--silence-after", "0"]) == 0
    assert Model(again).metadata == replace(before.metadata, silence={})
    assert main(["silence", "--model", str(again)]) == 0
    assert Model(again).metadata == before.metadata
