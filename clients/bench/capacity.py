"""rc-bench: how many streams a server carries on this machine, and how fast it decides for them.

Starts a server of its own, sends the bundled recording over N WebSocket streams at live pace, and compares every
detection with what one stream alone hears. Server CPU and memory come from the server's own /metrics. `--transport`
measures the same load on a server that does nothing with its audio, `--files` how fast files are classified.
"""

import argparse
import asyncio
import json
import re
import shlex
import sys
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from uvicorn.loops.auto import auto_loop_factory

from clients.bench.files import measure_files
from clients.bench.load import Heard, Load, Tally, connect_all, play_all
from clients.bench.machine import machine
from clients.demo.__main__ import RECORDING
from service.spotting.events import Detection
from service.spotting.files import read_audio
from service.spotting.spotter import Spotter
from service.testing import HOST, free_port, rc_serve, serving

SAMPLE_RATE = 16000
P99_LIMIT_MS = 20.0  # what --find-capacity holds
PEAK = 0.8  # of the audio: when memory is read
MARKS = "<!-- rc-bench -->", "<!-- /rc-bench -->"  # in a file that --into writes between
COLUMNS = ("chunk_ms", "streams", "cpu_ms_per_stream_s", "transport_alone", "streams_per_core", "p50_ms", "p95_ms",
           "p99_ms", "max_ms", "memory_kib_per_stream", "batch", "found", "expected", "failed",
           "load_late_p99_ms")  # fmt: skip
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


def measure(address: str, load: Load) -> Row:
    """The figures of one load, which runs on the server's kind of event loop: it takes less of the same machine."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(_measure(address, load))


async def _measure(address: str, load: Load) -> Row:
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
    ms = tally.server_ms or None
    return {
        "chunk_ms": round(1000 * load.chunk_s),
        "streams": load.streams,
        "cpu_ms_per_stream_s": round(cpu_ms, 3),
        "transport_alone": None,
        "streams_per_core": int(1000 / cpu_ms),
        **{f"p{p}_ms": ms and round(float(np.percentile(ms, p)), 2) for p in (50, 95, 99)},
        "max_ms": ms and round(max(ms), 2),
        "memory_kib_per_stream": round(memory_kib, 1),
        "batch": round(batch, 1),
        "found": tally.found,
        "expected": tally.expected,
        "failed": tally.failures.total(),
        "why": dict(tally.failures.most_common(3)),
        "load_late_p99_ms": round(float(np.percentile(tally.late_ms or [0.0], 99)), 1),
    }


def run(given: argparse.Namespace) -> list[Row]:
    """A row a load; with --transport beside it the CPU time of a server that does nothing with its audio."""
    once = read_audio(RECORDING)
    audio = np.tile(once, int(given.seconds * SAMPLE_RATE / len(once)) + 1)[: int(given.seconds * SAMPLE_RATE)]
    port = free_port()
    with serving(port, rc_serve(port, given.models, given.model)):
        rows = loads(given, port, audio, expected_of(given.models / given.model, audio), given.find_capacity)
    if given.transport:
        with serving(port, [sys.executable, "-m", "clients.bench.null_server", str(port)]):
            bare = {(one["chunk_ms"], one["streams"]): one for one in loads(given, port, audio, (), False)}
        for one in rows:
            if (alone := bare.get((one["chunk_ms"], one["streams"]))) and not alone["failed"]:
                one["transport_alone"] = alone["cpu_ms_per_stream_s"]
    return rows


def loads(
    given: argparse.Namespace, port: int, audio: np.ndarray, expected: tuple[Heard, ...], find_capacity: bool
) -> list[Row]:
    """A row for each size of chunk and number of streams; to find the capacity, on by half as many more until the limit
    is passed, and a last one at 70 % of what was carried."""
    rows: list[Row] = []

    def add(streams: int, chunk_ms: float) -> Row:
        load = Load(f"ws://{HOST}:{port}/v1/stream", streams, audio, SAMPLE_RATE, chunk_ms / 1000, expected)
        rows.append(measure(f"http://{HOST}:{port}", load))
        print(f"{streams} streams: {rows[-1]}", file=sys.stderr)
        return rows[-1]

    for chunk_ms in given.chunk_ms:
        found = [add(streams, chunk_ms) for streams in given.streams][-1]
        while find_capacity and holds(found):
            carried = int(found["streams"])
            if not holds(found := add(carried * 3 // 2, chunk_ms)):
                add(carried * 7 // 10, chunk_ms)
    return rows


def holds(found: Row) -> bool:
    """Whether a load was carried: every detection at its frame, p99 within the limit."""
    p99_ms = found["p99_ms"]
    return bool(found["found"] == found["expected"] and p99_ms is not None and p99_ms <= P99_LIMIT_MS)


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in columns)} |", "| --- " * len(columns) + "|"]
    cells = ([found[name] for name in columns] for found in rows)
    return "\n".join(
        [*lines, *(f"| {' | '.join('-' if cell is None else str(cell) for cell in row)} |" for row in cells)]
    )


def write_into(file: Path, text: str) -> None:
    """Put text between the MARKS of a file. SystemExit where it has none."""
    begin, end = MARKS
    before, after = re.subn(f"{begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", file.read_text(), flags=re.DOTALL)
    if not after:
        sys.exit(f"{file}: expected {begin} and {end} to write between, found none")
    file.write_text(before)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rc-bench", description="Measure what a server carries on this machine.")
    parser.add_argument("--models", type=Path, default=Path("models"), help="(default: %(default)s)")
    parser.add_argument("--model", default="speech-commands-rc", help="(default: %(default)s)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 10, 50, 100], help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=24.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument(
        "--chunk-ms", type=float, nargs="+", default=[40.0], help="audio in one message (default: %(default)s)"
    )
    parser.add_argument(
        "--find-capacity", action="store_true", help=f"more streams until p99 passes {P99_LIMIT_MS:g} ms"
    )
    parser.add_argument("--transport", action="store_true", help="also on a server that does nothing with audio")
    parser.add_argument("--files", type=int, metavar="N", help="classify N one-second files too, WAV and FLAC")
    parser.add_argument("--into", type=Path, metavar="FILE", help=f"put the tables between {' and '.join(MARKS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    given = parse(argv)
    found: dict[str, Any] = {
        "command": shlex.join(["rc-bench", *(sys.argv[1:] if argv is None else argv)]),
        "measured": f"{datetime.now(UTC):%Y-%m-%d}, {machine()}",
        "rows": run(given),
    }
    if given.files:
        found["files"] = measure_files(given.models / given.model, read_audio(RECORDING), given.files)
    text = told(found)
    if given.into:
        write_into(given.into, text)
    print(json.dumps(found, indent=1) if given.json else text)
    return 0


def told(found: dict[str, Any]) -> str:
    """Tables, and where they come from."""
    parts = [table(found["rows"], COLUMNS)]
    if "files" in found:
        parts.append(table(found["files"], list(found["files"][0])))
    return "\n\n".join([*parts, f"`{found['command']}`, {found['measured']}"])


if __name__ == "__main__":
    sys.exit(main())
