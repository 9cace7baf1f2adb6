"""What connections cost a server: its start, its memory with and without streams, CPU time to open and close one.

    python -m clients.bench.connections --into docs/results/capacity/connections.json

Starts a server of its own, on this machine. `clients.bench.fleet` reads the result.
"""

import argparse
import asyncio
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from clients.bench.measure import CPU, MEMORY, read_metrics
from clients.commands.options import positive_count
from clients.connection import Connection, connect
from service.bundled import BUNDLED_MODEL, models_directory
from service.commands.output import CommandParser, run_command
from service.machine import this_machine
from service.testing import HOST, free_port, rc_serve, serving

MAX_OPENING = 20  # streams that are opened at the same time


@dataclass(frozen=True)
class ConnectionCosts:
    """One run of this command."""

    command: str
    measured: str  # date and machine
    streams: int
    start_s: float  # from the start of the process until it is ready
    memory_mib: float  # resident, without a stream
    memory_kib_per_stream: float  # more with idle streams
    cpu_ms_per_open: float  # to accept, configure and close a stream that sends nothing
    metrics: int  # samples in one answer of /metrics


async def open_streams(url: str, count: int) -> list[Connection]:
    """`count` idle streams. Raises StreamError."""
    streams: list[Connection] = []
    while len(streams) < count:
        opening = [connect(url) for _ in range(min(MAX_OPENING, count - len(streams)))]
        streams += await asyncio.gather(*opening)
    return streams


async def open_and_close(url: str, count: int) -> None:
    """Open `count` streams and ask each to close. Raises StreamError."""
    for stream in await open_streams(url, count):
        await stream.close()
        async for _ in stream:
            pass


def measure(port: int, count: int) -> tuple[float, float, float]:
    """Memory without a stream in bytes, memory with `count` idle ones, CPU seconds for opening and closing them."""
    url = f"ws://{HOST}:{port}/v1/stream"
    asyncio.run(open_and_close(url, MAX_OPENING))  # the first ones are slow
    before = read_metrics(port)

    async def hold() -> dict[str, float]:
        streams = await open_streams(url, count)
        metrics = await asyncio.to_thread(read_metrics, port)
        for stream in streams:
            await stream.leave()
        return metrics

    held = asyncio.run(hold())
    cpu = read_metrics(port)[CPU]
    asyncio.run(open_and_close(url, count))
    return before[MEMORY], held[MEMORY], read_metrics(port)[CPU] - cpu


def count_samples(port: int) -> int:
    """How many samples a scrape gets; the server is on this machine."""
    with urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        return sum(not line.startswith(b"#") for line in answer)


def run(models: Path, model: str, count: int, command: str) -> ConnectionCosts:
    """Start a server and measure it."""
    port, begin = free_port(), time.monotonic()
    with serving(port, rc_serve(port, models, model)):
        start_s = time.monotonic() - begin
        empty, held, cpu_s = measure(port, count)
        metrics = count_samples(port)
    return ConnectionCosts(
        command=command,
        measured=f"{datetime.now(UTC):%Y-%m-%d}, {this_machine()}",
        streams=count,
        start_s=round(start_s, 1),
        memory_mib=round(empty / 2**20, 1),
        memory_kib_per_stream=round((held - empty) / 1024 / count, 1),
        cpu_ms_per_open=round(1000 * cpu_s / count, 3),
        metrics=metrics,
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(
        prog="python -m clients.bench.connections", description="Measure what connections cost a server."
    )
    parser.add_argument("--models", type=Path, default=models_directory(), help="(default: %(default)s)")
    parser.add_argument("--model", default=BUNDLED_MODEL, help="(default: %(default)s)")
    parser.add_argument("--streams", type=positive_count, default=500, help="(default: %(default)s)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the JSON there too")
    return parser.parse_args(argv)


def bench(args: argparse.Namespace, command: str) -> int:
    """Measure, and print or write the costs."""
    text = json.dumps(asdict(run(args.models, args.model, args.streams, command)), indent=1)
    if args.into:
        args.into.write_text(text + "\n")
    print(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    args = parse(argv)
    command = shlex.join(["python", "-m", "clients.bench.connections", *(sys.argv[1:] if argv is None else argv)])
    return run_command("connections", lambda: bench(args, command))


if __name__ == "__main__":
    sys.exit(main())
