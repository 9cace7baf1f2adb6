"""clients/bench/sizing.py: arithmetic from files that commands wrote."""

import json
from pathlib import Path

import pytest

from clients.bench.sizing import Measured, bytes_per_s, needs, read_measured

MEASURED = Measured("a machine", 400, 2.0, 100.0, 50.0, 2.0, 2.5, 80)


def write(folder: Path, *rows: dict[str, object]) -> None:
    bench = {"measured": "2030-01-02, a machine", "rows": list(rows)}
    (folder / "data.json").write_text(json.dumps(bench))
    costs = {"start_s": 2.0, "memory_mib": 100.0, "memory_kib_per_stream": 50.0, "cpu_ms_per_open": 2.0, "metrics": 80}
    (folder / "connections.json").write_text(json.dumps(costs))


def row(streams: int, **changes: object) -> dict[str, object]:
    costs = {"streams_per_core": 2 * streams, "cpu_ms_per_stream_s": 2.5, "memory_kib_per_stream": 40.0}
    return {"chunk_ms": 40, "streams": streams, "found": 8, "expected": 8, **costs, **changes}


def test_the_largest_load_in_usual_chunks_on_sockets_of_its_own_counts(tmp_path: Path) -> None:
    write(tmp_path, row(100), row(200, sockets=200), row(300, sockets=4), row(400, chunk_ms=100))
    measured = read_measured(tmp_path)
    assert (measured.streams_per_core, measured.max_streams, measured.memory_kib_per_stream) == (400, 280, 50.0)


def test_a_load_that_missed_detections_is_not_a_measure(tmp_path: Path) -> None:
    write(tmp_path, row(100), row(200, found=7))
    assert read_measured(tmp_path).streams_per_core == 200
    write(tmp_path, row(200, found=7), row(100, found=0, expected=0))
    with pytest.raises(ValueError, match="expected a load in chunks of 40 ms with every detection, got 2 without"):
        read_measured(tmp_path)


def test_the_committed_measurements_can_be_read() -> None:
    measured = read_measured(Path("docs/results/capacity"))
    assert 100 < measured.streams_per_core < 10_000
    assert measured.max_streams == int(0.7 * measured.streams_per_core)


def test_a_message_costs_its_heads_and_half_an_acknowledgement_per_segment() -> None:
    assert bytes_per_s("pcm_s16le", 40, tls=False) == 25 * (1280 + 8 + 1.5 * 52)
    assert bytes_per_s("pcm_s16le", 100) == 10 * (3200 + 8 + 22 + 3 * 1.5 * 52)
    assert bytes_per_s("pcm_mulaw", 5, tls=False) == 200 * (80 + 6 + 1.5 * 52)


def test_needs_grow_with_streams() -> None:
    small = needs(1000, MEASURED, session_s=100.0)
    assert (small.servers, small.sockets, small.opens_per_s) == (5, 2000, 10.0)  # 210 streams a server
    assert small.memory_gib == round((5 * 100 * 1024 + 1000 * 50) / 2**20, 1)
    assert small.samples_per_s == round(5 * 80 / 15)
    assert needs(100_000, MEASURED, session_s=100.0).servers == 477
