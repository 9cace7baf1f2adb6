import json
from pathlib import Path

from clients.bench import connections


def test_costs_are_measured_at_a_server_of_its_own(models_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "connections.json"
    options = ["--models", str(models_dir), "--model", "tones", "--streams", "30", "--into", str(file)]
    assert connections.main(options) == 0
    costs = json.loads(file.read_text())
    assert costs["command"].startswith("python -m clients.bench.connections --models")
    assert costs["streams"] == 30
    assert 0 < costs["cpu_ms_per_open"] < 1000
    assert 20 < costs["memory_mib"] < 2000
    assert 20 < costs["metrics"] < 500
