"""The soak test itself, for seconds instead of half an hour."""

from pathlib import Path

import pytest

from tests.stress import soak


@pytest.mark.parametrize("sockets", ["0", "2"])
def test_streams_come_and_go_and_half_open_handshakes_end(
    sockets: str, models_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "SHORTEST_S", 1.0)
    monkeypatch.setattr(soak, "LONGEST_S", 2.0)
    monkeypatch.setattr(soak, "GROWTH", 1.5)  # a server is not warm after seconds
    monkeypatch.setenv("RC_HANDSHAKE_TIMEOUT_S", "1")
    arguments = [
        "--minutes",
        "0.1",
        "--streams",
        "3",
        "--sockets",
        sockets,
        "--half-open",
        "4",
        "--models",
        str(models_dir),
        "--model",
        "tones",
    ]
    assert soak.main(arguments) == 0
    output = capsys.readouterr().out
    assert "half-open handshakes: 4 of 4 closed by the server" in output
    assert "streams, 3 at once" in output
