"""rc-bench: how many streams a server carries on this machine, and how fast it decides for them.

Starts a server of its own, sends the bundled recording over N WebSocket streams at live pace, and compares every
detection with those of one stream alone. Server CPU and memory come from the server's own /metrics. `--transport`
measures the same load on a server that does nothing with its audio, `--early` the same with early detections, `--files`
how fast files are classified.
"""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from uvicorn.loops.auto import auto_loop_factory

from clients.bench.early import DEFAULT_ROUNDS, Cost, EarlyCost, measure_early
from clients.bench.files import measure_files
from clients.bench.load import ExpectedDetection, Load, LoadTally, connected, play_all
from clients.bench.results import SECTIONS, BenchReport, LoadResult, write_into
from clients.commands.options import positive, positive_count
from clients.demo.__main__ import RECORDING
from service.bundled import BUNDLED_MODEL, models_directory
from service.commands.output import CommandParser, run_command
from service.machine import this_machine
from service.spotting.audio import SAMPLE_RATE, Samples
from service.spotting.events import Detection
from service.spotting.files import read_audio
from service.spotting.spotter import Spotter
from service.testing import HOST, free_port, rc_serve, serving

P99_LIMIT_MS = 20.0  # what --find-capacity holds
PEAK = 0.8  # share of the audio after which memory is read
CPU, BATCHED, RUNS = "process_cpu_seconds_total", "kws_batch_streams_sum", "kws_batch_streams_count"
MEMORY = "process_resident_memory_bytes"


def expected_of(model: Path, audio: Samples) -> tuple[ExpectedDetection, ...]:
    """The detections of one stream, in this process."""
    spotter = Spotter(model)
    events = spotter.push(audio) + spotter.flush()
    return tuple((event.label, event.frame) for event in events if isinstance(event, Detection))


def read_metrics(port: int) -> dict[str, float]:
    """The server's /metrics without labels; never through a proxy."""
    connection = HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", "/metrics")
    with connection.getresponse() as response:
        lines = response.read().decode().splitlines()
    connection.close()
    values = (line.split() for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in values}


def measure(port: int, load: Load) -> LoadResult:
    """The figures of one load. It runs on the server's kind of event loop, which takes less of the same machine."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(_measure(port, load))


async def _measure(port: int, load: Load) -> LoadResult:
    """Run one load; read the server's CPU time, memory and batches before and after it, all streams connected."""
    tally, empty = LoadTally(), await asyncio.to_thread(read_metrics, port)
    async with connected(load, tally) as streams:
        before = await asyncio.to_thread(read_metrics, port)
        playing = asyncio.create_task(play_all(load, streams, tally))
        await asyncio.sleep(PEAK * len(load.audio) / load.sample_rate)
        peak = await asyncio.to_thread(read_metrics, port)
        await playing
        after = await asyncio.to_thread(read_metrics, port)
    cpu_s, batched, runs = (after[name] - before[name] for name in (CPU, BATCHED, RUNS))
    cpu_ms = 1000 * cpu_s / (load.streams * len(load.audio) / load.sample_rate)
    memory_kib = (peak[MEMORY] - empty[MEMORY]) / 1024 / load.streams
    return result(load, tally, cpu_ms, memory_kib, batched / max(1, runs))


def result(load: Load, tally: LoadTally, cpu_ms: float, memory_kib: float, batch: float) -> LoadResult:
    """The figures of one load, rounded."""
    p50_ms, p95_ms, p99_ms, max_ms = percentiles(tally.server_ms)
    lag_p50_ms, _, lag_p99_ms, _ = percentiles(tally.lag_ms)
    return LoadResult(
        chunk_ms=round(1000 * load.chunk_s),
        streams=load.streams,
        sockets=load.shared_sockets or load.streams,
        cpu_ms_per_stream_s=round(cpu_ms, 3),
        transport_alone=None,
        of_own_sockets=None,
        streams_per_core=int(1000 / max(cpu_ms, 1e-3)),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        max_ms=max_ms,
        lag_p50_ms=lag_p50_ms,
        lag_p99_ms=lag_p99_ms,
        memory_kib_per_stream=round(memory_kib, 1),
        batch=round(batch, 1),
        found=tally.found,
        expected=tally.expected,
        failed=tally.failures.total(),
        load_late_p99_ms=round(float(np.percentile(tally.late_ms or [0.0], 99)), 1),
        why=dict(tally.failures.most_common(3)),
    )


def percentiles(ms: Sequence[float]) -> list[float | None]:
    """The 50th, 95th, 99th and 100th; None without any value."""
    return [round(float(np.percentile(ms, p)), 2) if ms else None for p in (50, 95, 99, 100)]


def looped_recording(seconds: float) -> Samples:
    """The bundled recording, again and again."""
    once, length = read_audio(RECORDING), int(seconds * SAMPLE_RATE)
    return np.tile(once, length // len(once) + 1)[:length]


def run_early(args: argparse.Namespace) -> tuple[EarlyCost, ...]:
    """What early detections cost with the first size of chunk, one result per number of streams."""
    audio, port = looped_recording(args.seconds), free_port()
    expected = expected_of(args.models / args.model, audio)

    def cost(load: Load) -> Cost:
        row = measure(port, load)
        return Cost(row.cpu_ms_per_stream_s, row.found, row.expected)

    def load(streams: int) -> Load:
        return Load(f"ws://{HOST}:{port}/v1/stream", streams, audio, SAMPLE_RATE, args.chunk_ms[0] / 1000, expected)

    with serving(port, rc_serve(port, args.models, args.model)):
        return tuple(measure_early(load(streams), args.early, cost) for streams in args.streams)


def run(args: argparse.Namespace) -> tuple[LoadResult, ...]:
    """One result per load; with --transport beside it the CPU time of a server that does nothing with its audio."""
    audio, port = looped_recording(args.seconds), free_port()
    with serving(port, rc_serve(port, args.models, args.model)):
        results = measure_loads(args, port, audio, expected_of(args.models / args.model, audio), args.find_capacity)
    if not args.transport:
        return tuple(results)
    with serving(port, [sys.executable, "-m", "clients.bench.null_server", str(port)]):
        null = measure_loads(args, port, audio, (), find_capacity=False)
    alone = {(row.chunk_ms, row.streams, row.sockets): row.cpu_ms_per_stream_s for row in null if not row.failed}
    return tuple(replace(row, transport_alone=alone.get((row.chunk_ms, row.streams, row.sockets))) for row in results)


def measure_loads(
    args: argparse.Namespace, port: int, audio: Samples, expected: tuple[ExpectedDetection, ...], find_capacity: bool
) -> list[LoadResult]:
    """One result per size of chunk, number of streams and number of sockets that they share.

    To find the capacity, half as many streams more each time until the limit is passed, and at last 70 % of those that
    were carried.
    """
    results: list[LoadResult] = []

    def add(streams: int, chunk_ms: float, sockets: int = 0) -> LoadResult:
        url = f"ws://{HOST}:{port}/v1/stream{'s' if sockets else ''}"
        load = Load(url, streams, audio, SAMPLE_RATE, chunk_ms / 1000, expected, sockets)
        results.append(measure(port, load))
        print(f"{streams} streams: {results[-1]}", file=sys.stderr)
        return results[-1]

    def add_all(streams: int, chunk_ms: float) -> LoadResult:
        own = add(streams, chunk_ms)
        for sockets in args.sockets:
            shared = add(streams, chunk_ms, sockets)
            ratio = round(shared.cpu_ms_per_stream_s / max(own.cpu_ms_per_stream_s, 1e-3), 2)
            results[-1] = replace(shared, of_own_sockets=ratio)
        return own

    for chunk_ms in args.chunk_ms:
        latest = [add_all(streams, chunk_ms) for streams in args.streams][-1]
        while find_capacity and holds(latest):
            carried = latest.streams
            latest = add(carried * 3 // 2, chunk_ms)
            if not holds(latest):
                add(carried * 7 // 10, chunk_ms)
    return results


def holds(row: LoadResult) -> bool:
    """Whether a load was carried: every detection at its frame, p99 within the limit."""
    return row.found == row.expected and row.p99_ms is not None and row.p99_ms <= P99_LIMIT_MS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(prog="rc-bench", description="Measure what a server carries on this machine.")
    parser.add_argument("--models", type=Path, default=models_directory(), help="(default: %(default)s)")
    parser.add_argument("--model", default=BUNDLED_MODEL, help="(default: %(default)s)")
    parser.add_argument(
        "--streams", type=positive_count, nargs="+", default=[1, 10, 50, 100], help="(default: %(default)s)"
    )
    parser.add_argument("--seconds", type=positive, default=24.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument(
        "--chunk-ms", type=positive, nargs="+", default=[40.0], help="audio in one message (default: %(default)s)"
    )
    parser.add_argument(
        "--sockets",
        type=positive_count,
        nargs="+",
        default=[],
        metavar="N",
        help="also on N sockets that streams share",
    )
    parser.add_argument(
        "--find-capacity", action="store_true", help=f"more streams until p99 passes {P99_LIMIT_MS:g} ms"
    )
    parser.add_argument("--transport", action="store_true", help="also on a server that does nothing with audio")
    early = "the streams also with early detections, in turn with streams without, so many times (default: %(const)s)"
    parser.add_argument("--early", type=positive_count, nargs="?", const=DEFAULT_ROUNDS, metavar="ROUNDS", help=early)
    parser.add_argument(
        "--files", type=positive_count, metavar="N", help="classify N one-second files too, WAV and FLAC"
    )
    into = f"put the tables between the marks {', '.join(SECTIONS)}; data.json beside FILE has all of {SECTIONS[0]}"
    parser.add_argument("--into", type=Path, metavar="FILE", help=into)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    args = parse(argv)
    command = shlex.join(["rc-bench", *(sys.argv[1:] if argv is None else argv)])
    return run_command("rc-bench", lambda: bench(args, command))


def bench(args: argparse.Namespace, command: str) -> int:
    """Measure, and print or write the report."""
    rows = run(args)
    files = measure_files(args.models / args.model, read_audio(RECORDING), args.files) if args.files else ()
    early = run_early(args) if args.early else ()
    report = BenchReport(command, f"{datetime.now(UTC):%Y-%m-%d}, {this_machine()}", rows, tuple(files), early)
    if args.into and write_into(args.into, report):
        args.into.with_name("data.json").write_text(report.to_json() + "\n")
    print(report.to_json() if args.json else report.to_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
