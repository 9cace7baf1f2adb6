"""rc-bench on the tiny model: what it counts is what was sent."""

import asyncio
import json
from pathlib import Path

import pytest
import soundfile

from clients.bench import capacity as bench
from clients.bench.files import measure_files
from clients.bench.load import Load, Tally, connect_all, play_all
from tests.support.server import Running
from tests.support.speech import say
from tests.support.tone_model import RATE


async def run_load(load: Load) -> Tally:
    tally = Tally()
    await play_all(load, await connect_all(load, tally), tally)
    return tally


def test_every_stream_is_compared_with_one_alone(server: Running, models_dir: Path) -> None:
    audio = say("yes", "no")
    expected = bench.expected_of(models_dir / "tones", audio)
    assert [label for label, _ in expected] == ["yes", "no"]
    load = Load(server.ws(), 5, audio, RATE, 0.02, expected)
    tally = asyncio.run(run_load(load))
    assert (tally.found, tally.expected, tally.missed) == (10, 10, 0)
    assert len(tally.server_ms) == 10
    assert not tally.failures


def test_a_stream_that_fails_is_counted_as_failed_and_missed(models_dir: Path) -> None:
    load = Load("ws://127.0.0.1:9/v1/stream", 2, say("yes"), RATE, 0.02, (("yes", 1),))
    tally = asyncio.run(run_load(load))
    assert (tally.found, tally.missed, tally.failures.total()) == (0, 2, 2)


def test_the_command_reports_a_row_a_load(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "tones.wav", say("yes", "no"), RATE)
    monkeypatch.setattr(bench, "RECORDING", tmp_path / "tones.wav")
    arguments = ["--models", str(models_dir), "--model", "tones", "--streams", "1", "4", "--seconds", "1.8", "--json"]
    assert bench.main([*arguments, "--transport"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["streams"], row["failed"]) for row in rows] == [(1, 0), (4, 0)]
    assert [row["found"] for row in rows] == [row["expected"] for row in rows] == [2, 8]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] for row in rows)
    assert all(row["cpu_ms_per_stream_s"] > 0 and row["transport_alone"] > 0 for row in rows)


def test_a_table_has_all_columns() -> None:
    lines = bench.table([dict.fromkeys(bench.COLUMNS, 1)], bench.COLUMNS).splitlines()
    assert lines[0].count("|") == lines[2].count("|") == len(bench.COLUMNS) + 1


def test_tables_go_between_the_marks_of_a_file(tmp_path: Path) -> None:
    begin, end = bench.MARKS
    file = tmp_path / "README.md"
    file.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    bench.write_into(file, "new \\1")
    assert file.read_text() == f"before\n{begin}\nnew \\1\n{end}\nafter\n"
    file.write_text("no marks")
    with pytest.raises(SystemExit, match="expected <!-- rc-bench --> and"):
        bench.write_into(file, "new")


def test_files_are_measured_in_batches_and_one_by_one(models_dir: Path) -> None:
    rows = measure_files(models_dir / "tones", say("yes", "no", "yes"), count=40)
    assert [row["format"] for row in rows] == ["WAV", "FLAC"]
    assert all(row["clips"] == 40 and row["clips_per_cpu_s"] > row["one_by_one"] > 0 for row in rows)
