"""rc-bench: how many streams a server carries on this machine, and how fast it decides for them.

Starts a server of its own, sends the bundled recording over N WebSocket streams at live pace, and compares every
detection with what one stream alone hears. Server CPU and memory come from the server's own /metrics.
"""

import argparse
import asyncio
import json
import platform
import sys
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clients.demo.__main__ import RECORDING
from clients.load import Heard, Load, Tally, connect_all, play_all
from clients.local_server import HOST, free_port, serving
from service.audio import read_audio
from service.protocol import Detection
from service.spotter import Spotter

SAMPLE_RATE = 16000
P99_LIMIT_MS = 20.0  # what --find-capacity holds
PEAK = 0.8  # of the audio: when memory is read
COLUMNS = ("streams", "cpu_ms_per_stream_s", "streams_per_core", "p50_ms", "p95_ms", "p99_ms", "max_ms",
           "memory_kib_per_stream", "batch", "found", "expected", "failed", "load_late_p99_ms")  # fmt: skip
Row = dict[str, Any]


def expected_of(model: Path, audio: np.ndarray) -> tuple[Heard, ...]:
    """What one stream hears in process."""
    spotter = Spotter(model)
    events = spotter.push(audio) + spotter.flush()
    return tuple((event.label, event.frame) for event in events if isinstance(event, Detection))


def metric(url: str, name: str) -> float:
    """One number of the server's /metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 (our own server)
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


async def measure(address: str, load: Load) -> Row:
    """Run one load and read the server's CPU time, memory and batches before and after, all streams connected."""
    names = ("process_cpu_seconds_total", "kws_batch_streams_sum", "kws_batch_streams_count")
    memory, tally = await watch(address, ["process_resident_memory_bytes"]), Tally()
    streams = await connect_all(load, tally)
    before = await watch(address, names)
    playing = asyncio.create_task(play_all(load, streams, tally))
    await asyncio.sleep(PEAK * len(load.audio) / SAMPLE_RATE)
    peak = await watch(address, ["process_resident_memory_bytes"])
    await playing
    cpu_s, batched, runs = (await watch(address, names) - before).tolist()
    cpu_ms = 1000 * cpu_s / (load.streams * len(load.audio) / SAMPLE_RATE)
    return row(load, tally, cpu_ms, float((peak - memory)[0]) / 1024 / load.streams, batched / max(1, runs))


async def watch(address: str, names: Sequence[str]) -> np.ndarray:
    """Some numbers of the server's /metrics."""
    return np.array([await asyncio.to_thread(metric, address, name) for name in names])


def row(load: Load, tally: Tally, cpu_ms: float, memory_kib: float, batch: float) -> Row:
    """The figures of one load."""
    ms = np.array(tally.server_ms or [np.nan])
    return {
        "streams": load.streams,
        "cpu_ms_per_stream_s": round(cpu_ms, 3),
        "streams_per_core": int(1000 / cpu_ms),
        **{f"p{p}_ms": round(float(np.percentile(ms, p)), 2) for p in (50, 95, 99)},
        "max_ms": round(float(ms.max()), 2),
        "memory_kib_per_stream": round(memory_kib, 1),
        "batch": round(batch, 1),
        "found": tally.found,
        "expected": tally.expected,
        "failed": tally.failures.total(),
        "load_late_p99_ms": round(float(np.percentile(tally.late_ms or [np.nan], 99)), 1),
    }


def run(given: argparse.Namespace) -> list[Row]:
    """One row for each number of streams; with --find-capacity on by half as many more until the limit is passed."""
    once = read_audio(RECORDING)
    audio = np.tile(once, int(given.seconds * SAMPLE_RATE / len(once)) + 1)[: int(given.seconds * SAMPLE_RATE)]
    expected = expected_of(given.models / given.model, audio)
    rows: list[Row] = []
    with serving(port := free_port(), given.models, given.model):
        streams = list(given.streams)
        while streams:
            load = Load(f"ws://{HOST}:{port}/v1/stream", streams.pop(0), audio, SAMPLE_RATE,
                        given.chunk_ms / 1000, expected)  # fmt: skip
            rows.append(asyncio.run(measure(f"http://{HOST}:{port}", load)))
            print(f"{load.streams} streams: {rows[-1]}", file=sys.stderr)
            if given.find_capacity and not streams and holds(rows[-1]):
                streams = [load.streams * 3 // 2]
    return rows


def holds(found: Row) -> bool:
    """Whether a load was carried: every detection at its frame, p99 within the limit."""
    return bool(found["found"] == found["expected"] and found["p99_ms"] <= P99_LIMIT_MS)


def table(rows: Sequence[Row], about: str) -> str:
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(str(found[name]) for name in COLUMNS)} |" for found in rows]
    return "\n".join([*lines, "", about])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rc-bench", description="Measure what a server carries on this machine.")
    parser.add_argument("--models", type=Path, default=Path("models"), help="(default: %(default)s)")
    parser.add_argument("--model", default="speech-commands-rc", help="(default: %(default)s)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 10, 50, 100], help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=24.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument("--chunk-ms", type=float, default=40.0, help="audio in one message (default: %(default)s)")
    parser.add_argument(
        "--find-capacity", action="store_true", help=f"more streams until p99 passes {P99_LIMIT_MS:g} ms"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    given = parse(argv)
    rows = run(given)
    about = f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, chunks of {given.chunk_ms:g} ms"
    print(json.dumps({"measured": about, "rows": rows}, indent=1) if given.json else table(rows, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
