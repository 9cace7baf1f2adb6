"""rc-bench on the tiny model: its counts are those of the audio that was sent."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clients.bench import capacity, measure, recording
from clients.bench.files import measure_files
from clients.bench.load import Load, LoadTally, Turn, connected, play_all, start_s, wait_s
from clients.bench.results import BenchReport, FilesResult, LoadResult, write_into
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

UNMEASURED = LoadResult(
    40, 2, 2, 0.0, 3.5, None, None, None, 285, None, None, None, None, None, None, None, 12.5, 1.0, 0, 0, 0, 0.5, {}
)  # without any detection


async def run_load(load: Load) -> LoadTally:
    tally = LoadTally()
    async with connected(load, tally) as streams:
        await play_all(load, streams, tally)
    return tally


def test_every_stream_is_compared_with_one_alone(server: Running, models_dir: Path) -> None:
    audio = synthesize("yes", "no")
    expected = measure.expected_of(models_dir / "tones", audio)
    assert [label for label, _ in expected] == ["yes", "no"]
    load = Load(server.ws(), 5, audio, RATE, 0.02, expected)
    tally = asyncio.run(run_load(load))
    assert (tally.found, tally.expected, tally.missed) == (10, 10, 0)
    assert len(tally.server_ms) == 10
    assert not tally.failures


def test_streams_that_share_sockets_are_compared_too(server: Running, models_dir: Path) -> None:
    audio = synthesize("yes", "no")
    expected = measure.expected_of(models_dir / "tones", audio)
    tally = asyncio.run(run_load(Load(server.ws_shared, 5, audio, RATE, 0.02, expected, shared_sockets=2)))
    assert (tally.found, tally.expected, tally.failures.total()) == (10, 10, 0)
    assert len(tally.lag_ms) == 10
    assert all(lag >= latency for lag, latency in zip(sorted(tally.lag_ms), sorted(tally.server_ms), strict=True))


def test_streams_that_take_turns_are_compared_each_with_its_own(server: Running, models_dir: Path) -> None:
    audio = [synthesize("yes"), synthesize("no")]
    turns = tuple(Turn(samples, measure.expected_of(models_dir / "tones", samples)) for samples in audio)
    assert turns[0].expected != turns[1].expected
    tally = asyncio.run(run_load(Load(server.ws(), 3, audio[0], RATE, 0.02, (), turns=turns)))
    assert (tally.found, tally.expected, tally.failures.total()) == (3, 3, 0)


def test_streams_that_take_turns_speak_alone_and_all_of_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "tones.wav", np.full(RATE, 0.5), RATE)
    monkeypatch.setattr(recording, "RECORDING", tmp_path / "tones.wav")
    turns = recording.taking_turns(10.0, 0.8)
    loud = np.stack([np.abs(turn) > 0.1 for turn in turns])
    assert loud.shape == (5, 10 * RATE)
    assert (loud.sum(axis=0) == 1).all()
    assert np.abs(turns[0][~loud[0]]).max() < 0.001


@pytest.mark.parametrize(
    ("audio_time_s", "chunk_s", "expected"),
    [(1.04, 0.02, 0.0), (1.04, 0.04, 0.0), (1.06, 0.04, 0.02), (1.04, 0.06, 0.04), (0.02, 0.1, 0.08), (6.3, 0.1, 0.0)],
)
def test_a_sample_waits_for_the_rest_of_its_message(audio_time_s: float, chunk_s: float, expected: float) -> None:
    assert wait_s(audio_time_s, chunk_s) == pytest.approx(expected, abs=1e-6)


def test_streams_of_a_shared_socket_send_at_the_same_moments() -> None:
    load = Load("", 40, synthesize("yes"), RATE, 0.04, (), shared_sockets=4)
    phases = [round(start_s(load, number) % 0.04, 6) % 0.04 for number in range(40)]
    assert phases == [0.0] * 10 + [0.01] * 10 + [0.02] * 10 + [0.03] * 10
    starts = [start_s(load, number) for number in range(40)]
    assert starts == sorted(starts)
    assert 1.9 < starts[-1] < 2.0


def test_a_stream_that_fails_is_counted_as_failed_and_missed(models_dir: Path) -> None:
    load = Load("ws://127.0.0.1:9/v1/stream", 2, synthesize("yes"), RATE, 0.02, (("yes", 1),))
    tally = asyncio.run(run_load(load))
    assert (tally.found, tally.missed, tally.failures.total()) == (0, 2, 2)


def test_the_command_reports_one_row_per_load(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "tones.wav", synthesize("yes", "no"), RATE)
    monkeypatch.setattr(recording, "RECORDING", tmp_path / "tones.wav")
    arguments = ["--models", str(models_dir), "--model", "tones", "--streams", "1", "4", "--seconds", "1.8", "--json"]
    assert capacity.main([*arguments, "--sockets", "1", "--transport", "--silent", "0.5"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["silent"] for row in rows] == [0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5]
    assert [row["found"] for row in rows if row["silent"]] == [
        1,
        1,
        4,
        4,
    ]  # in the second of speech that each stream has
    assert all(
        row["of_transport"] == pytest.approx(row["cpu_ms_per_stream_s"] / row["transport_alone"], 0.05) for row in rows
    )
    rows = [row for row in rows if not row["silent"]]
    assert [(row["streams"], row["sockets"], row["failed"]) for row in rows] == [
        (1, 1, 0),
        (1, 1, 0),
        (4, 4, 0),
        (4, 1, 0),
    ]
    assert [row["found"] for row in rows] == [row["expected"] for row in rows] == [2, 2, 8, 8]
    assert [row["of_own_sockets"] for row in rows[::2]] == [None, None]
    assert all(row["of_own_sockets"] > 0 for row in rows[1::2])
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] for row in rows)
    assert all(row["cpu_ms_per_stream_s"] > 0 and row["transport_alone"] > 0 for row in rows)


def test_the_report_has_a_table_of_loads_and_one_of_files() -> None:
    load = LoadResult(
        40,
        2,
        2,
        0.0,
        3.5,
        None,
        None,
        None,
        285,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        12.5,
        1.0,
        0,
        0,
        1,
        0.5,
        {"refused": 1},
    )
    report = BenchReport(
        "rc-bench --files 4", "2030-01-02, a machine", (load,), (FilesResult("WAV", 4, 900, 300, 3.0),)
    )
    loads, files, source = report.to_markdown().split("\n\n")
    assert loads.splitlines()[0].startswith(
        "| chunk ms | streams | sockets | silent | cpu ms per stream s | transport alone |"
    )
    assert loads.splitlines()[0].endswith("| found | expected | failed | load late p99 ms |")
    assert loads.splitlines()[2].startswith("| 40 | 2 | 2 | 0.0 | 3.5 | - | - | - | 285 | - |")
    assert {line.count("|") for line in loads.splitlines()} == {23}
    assert files.splitlines()[2] == "| WAV | 4 | 900 | 300 | 3.0 |"
    assert source == "`rc-bench --files 4`, 2030-01-02, a machine"
    assert json.loads(report.to_json())["rows"][0]["why"] == {"refused": 1}


def test_a_load_without_detections_does_not_hold() -> None:
    silent = LoadResult(
        40, 2, 2, 0.0, 3.5, None, None, None, 285, None, None, None, None, None, None, None, 12.5, 1.0, 0, 0, 0, 0.5, {}
    )
    assert not capacity.holds(silent)
    assert capacity.holds(replace(silent, p99_ms=20.0))
    assert not capacity.holds(replace(silent, p99_ms=20.1))
    assert not capacity.holds(replace(silent, p99_ms=20.0, expected=1))


@pytest.mark.parametrize("option", ["--streams", "--sockets", "--seconds", "--chunk-ms", "--files"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_sizes_are_greater_than_zero(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        capacity.main([f"{option}={value}"])
    assert f"argument {option}: expected a " in capsys.readouterr().err


ROW = LoadResult(
    20, 8, 8, 0.0, 4.0, 1.0, 4.0, None, 250, 1.0, 2.0, 3.0, 4.0, 10.5, 20.5, 31.0, 12.5, 1.0, 8, 8, 0, 0.5, {}
)
ROWS = (
    replace(ROW, sockets=2, cpu_ms_per_stream_s=3.0, of_own_sockets=0.75),
    ROW,
    replace(ROW, chunk_ms=40, cpu_ms_per_stream_s=3.0, wait_ms=20.5, lag_p50_ms=31.5),
    replace(ROW, streams=2, sockets=2),
    replace(ROW, silent=0.8, cpu_ms_per_stream_s=1.0),
)


def test_a_table_has_what_longer_chunks_cost_and_another_what_shared_sockets_save() -> None:
    sections = BenchReport("rc-bench", "2030-01-02, a machine", ROWS).sections()
    chunks, source = sections["rc-bench chunks"].split("\n\n")
    assert chunks.splitlines() == [
        "| streams | chunk ms | wait ms | lag p50 ms | cpu ms per stream s | of the shortest |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 8 | 20 | 10.5 | 20.5 | 4.0 | 1.0 |",
        "| 8 | 40 | 20.5 | 31.5 | 3.0 | 0.75 |",
    ]
    assert source == "`rc-bench`, 2030-01-02, a machine"
    assert sections["rc-bench sockets"].split("\n\n")[0].splitlines() == [
        "| streams | sockets | silent | chunk ms | cpu ms per stream s | of own sockets | transport alone | p99 ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 8 | 2 | 0.0 | 20 | 3.0 | 0.75 | 1.0 | 3.0 |",
        "| 8 | 8 | 0.0 | 20 | 4.0 | - | 1.0 | 3.0 |",
    ]
    assert list(BenchReport("rc-bench", "", (ROW,)).sections()) == ["rc-bench"]


def test_tables_go_between_the_marks_of_a_file(tmp_path: Path) -> None:
    file, report = tmp_path / "README.md", BenchReport("rc-bench \\1", "today", ROWS)
    file.write_text("before\n<!-- rc-bench -->\nold\n<!-- /rc-bench -->\nafter\n")
    assert write_into(file, report)
    assert file.read_text() == f"before\n<!-- rc-bench -->\n{report.to_markdown()}\n<!-- /rc-bench -->\nafter\n"
    file.write_text("before\n<!-- rc-bench chunks -->\nold\n<!-- /rc-bench chunks -->\nafter\n")
    assert not write_into(file, report)
    assert file.read_text().splitlines()[2].startswith("| streams | chunk ms |")
    file.write_text("no marks")
    with pytest.raises(SystemExit, match="expected <!-- rc-bench --> or <!-- rc-bench chunks --> or"):
        write_into(file, report)


def test_files_are_measured_in_batches_and_one_by_one(models_dir: Path) -> None:
    rows = measure_files(models_dir / "tones", synthesize("yes", "no", "yes"), count=40)
    assert [row.format for row in rows] == ["WAV", "FLAC"]
    assert [row.ratio for row in rows] == [
        pytest.approx(row.clips_per_cpu_s / row.one_by_one, abs=0.05) for row in rows
    ]
    assert all(row.clips == 40 and row.one_by_one > 0 for row in rows)
