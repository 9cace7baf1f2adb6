"""What Ray Serve costs: the same streams on rc-serve and on one replica behind each of Ray's proxies, in one run.

`python -m deploy.ray.proxy_cost --into docs/scaling.md`
"""

import argparse
import asyncio
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from clients.bench.load import Load, LoadTally, connected, play_all
from clients.bench.markdown import markdown_table, marks, write_sections
from clients.bench.measure import expected_of
from clients.bench.recording import looped_recording
from service.bundled import BUNDLED_MODEL, bundled_model, models_directory
from service.machine import this_machine
from service.spotting.audio import SAMPLE_RATE
from service.testing import HOST, free_port, rc_serve, serving

SECTION = "ray proxy"
KINDS = {"app": r"service\.commands\.serve|ray::ServeReplica", "proxy": r"ray::ProxyActor|ray::HAProxy|haproxy"}
REST = "rest"  # raylet, controller and the others
START_S = 240.0  # limit, on a machine that has other work
SETTLE_S, IDLE_S = 15.0, 10.0  # before the streams of a round; Ray goes on starting after the app is ready
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class ServerCost:
    """The figures of one server, of all rounds."""

    cpu_s: Counter[str] = field(default_factory=Counter)  # by kind of process, beyond what it uses without streams
    stream_s: float = 0.0
    idle_ms: list[float] = field(default_factory=list)  # CPU per second of all processes without streams
    found: int = 0
    expected: int = 0
    lag_ms: list[float] = field(default_factory=list)  # from the last sample of every detection to its event

    def row(self, name: str) -> list[str]:
        """The cells of a row of the table."""
        cpu_ms = [1000 * self.cpu_s[kind] / self.stream_s for kind in (*KINDS, REST)]
        p50, p99 = np.percentile(self.lag_ms, [50, 99])
        cells = [*(f"{value:.2f}" for value in (*cpu_ms, sum(cpu_ms))), f"{np.mean(self.idle_ms):.0f}"]
        cells += [f"{p50:.1f}", f"{p99:.1f}"]
        return [name, *cells, f"{self.found} of {self.expected}"]


def servers(port: int) -> dict[str, list[str]]:
    """The command of each server."""
    ray = [sys.executable, "-m", "deploy.ray.local", "--port", str(port)]
    return {
        "rc-serve": rc_serve(port, models_directory(), BUNDLED_MODEL),
        "Ray Serve, its own proxy": ray,
        "Ray Serve, HAProxy": ["env", "RAY_SERVE_ENABLE_HA_PROXY=1", *ray],
    }


async def measure(load: Load, cost: ServerCost) -> None:
    """CPU without streams, then that of one load."""
    tally = LoadTally()
    await asyncio.sleep(SETTLE_S)
    start = cpu_by_kind()
    await asyncio.sleep(IDLE_S)
    idle = cpu_by_kind() - start
    cost.idle_ms.append(1000 * sum(idle.values()) / IDLE_S)
    async with connected(load, tally) as streams:
        before, began = cpu_by_kind(), perf_counter()
        await play_all(load, streams, tally)
        used, took_s = cpu_by_kind() - before, perf_counter() - began
    for kind in used:
        cost.cpu_s[kind] += used[kind] - idle[kind] * took_s / IDLE_S  # type: ignore[assignment] # a Counter of floats
    cost.stream_s += load.streams * len(load.audio) / load.sample_rate
    cost.found, cost.expected = cost.found + tally.found, cost.expected + tally.expected
    cost.lag_ms += tally.lag_ms


def cpu_by_kind() -> "Counter[str]":
    """Seconds that the processes below this one have used."""
    used: Counter[str] = Counter()
    for process in descendants(os.getpid()):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, command)), REST)
        used[kind] += (int(fields[11]) + int(fields[12])) / TICKS_PER_S  # type: ignore[assignment] # a Counter of floats
    return used


def descendants(parent: int) -> Iterator[Path]:
    """Processes that this one started, and those that they started."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in children.read_text().split():
            yield Path(f"/proc/{pid}")
            yield from descendants(int(pid))


def report(costs: dict[str, ServerCost], args: argparse.Namespace, command: str) -> str:
    """The table and where it comes from."""
    columns = ["server", "app", "proxy", "rest of Ray", "sum", "idle, ms/s", "lag p50, ms", "lag p99, ms", "events"]
    about = (
        f"CPU in ms per second of each of {args.streams} streams, with a message every {args.chunk_ms:g} ms, beyond "
        "what the idle server uses (ms per second of all its processes). Lag is from the last sample of a detection to "
        "its event at the client."
    )
    source = f"`{command}`, rounds: {args.rounds}, {datetime.now(UTC):%Y-%m-%d}, {this_machine()}"
    rows = [cost.row(name) for name, cost in costs.items()]
    return "\n\n".join([about, markdown_table(columns, rows), source])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="deploy.ray.proxy_cost", description="Measure what Ray Serve costs.")
    parser.add_argument("--streams", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--chunk-ms", type=float, default=100.0, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--into", type=Path, metavar="FILE", help=f"put the table behind {marks(SECTION)[0]}")
    args = parser.parse_args(argv)
    audio = looped_recording(args.seconds)
    expected = expected_of(bundled_model(), audio)
    costs = {name: ServerCost() for name in servers(0)}
    for _ in range(args.rounds):
        for name, cost in costs.items():
            port = free_port()
            load = Load(
                f"ws://{HOST}:{port}/v1/stream", args.streams, audio, SAMPLE_RATE, args.chunk_ms / 1000, expected
            )
            with serving(port, servers(port)[name], START_S):
                asyncio.run(measure(load, cost))
            print(*cost.row(name), sep=" | ", file=sys.stderr)
    text = report(costs, args, shlex.join(["python", "-m", "deploy.ray.proxy_cost", *(argv or sys.argv[1:])]))
    if args.into:
        write_sections(args.into, {SECTION: text})
    print(text)


if __name__ == "__main__":
    main()
