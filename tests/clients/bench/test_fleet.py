from pathlib import Path

import pytest

from clients.bench import fleet
from clients.bench.markdown import marks


def test_the_command_writes_its_tables_between_its_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "LIMIT_S", 1200.0)
    page = tmp_path / "page.md"
    page.write_text("before\n" + "\n".join(marks(fleet.SECTION)) + "\nafter")
    assert fleet.main(["--streams", "800", "--hours", "0.1", "--into", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "| 10,000,000 |" in text
    assert "| endless | never in a day |" in text
    assert all(f"| {scenario.name} |" in text for scenario in fleet.SCENARIOS)
    assert "`python -m clients.bench.fleet --streams 800" in text
    assert text.count("###") == 4
    assert "| 10,000,000 |" in capsys.readouterr().out
