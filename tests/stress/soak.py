"""A server under load for as long as args: streams come and go, and nothing may grow.

    python -m tests.stress.soak --minutes 30 --streams 100 --half-open 5000

`--streams` is how many are open at once; take 70 % of what rc-bench finds. Half-open handshakes come first, and the
server must close them all while the streams run. Prints one line per tenth of the time. Status 1 when a stream failed
or missed a word, when memory grew by more than 5 % after the first tenth, or when files are left open.

With `--twice` the server admits only `--streams`, and in the second half of the time as many again are offered: compare
the p99 of the halves.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import soundfile

from clients.bench.load import Load, LoadTally, StreamOpener, open_all, opener, play
from clients.connection import encode
from clients.pace import Pace
from service.settings import Settings
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.paths import ROOT
from tests.support.server_process import command

SHORTEST_S, LONGEST_S = 5.0, 30.0  # length of a stream
CHUNK_S = 0.04
RETRY_S = Settings().retry_after_s  # wait after a refusal, as its Retry-After says
REFUSED = ("http_503", "too_many_streams")
TENTHS = 10
GROWTH = 1.05  # memory may grow by this factor after the first tenth of the time
HEAD = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"


@dataclass(frozen=True)
class ProcessSnapshot:
    """The memory and the open files of the server's process."""

    memory: int  # bytes, resident
    files: int

    @classmethod
    def of(cls, pid: int) -> "ProcessSnapshot":
        """The snapshot of a running process."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd")))


def make_loads(model: Model, url: str, seed: int, count: int = 16) -> list[Load]:
    """Streams of different lengths, and the detections of one alone in each."""
    rng = np.random.default_rng(seed)
    audio, rate = soundfile.read(ROOT / "clients" / "demo" / "demo.flac", dtype="float32")
    audio = np.tile(audio, 1 + int(LONGEST_S * rate) // len(audio))
    loads = []
    for seconds in rng.uniform(SHORTEST_S, LONGEST_S, count):
        part = audio[: int(seconds * rate)]
        spotter = Spotter(model, sample_rate=rate)
        detections = [event for event in spotter.push(part) + spotter.flush() if isinstance(event, Detection)]
        loads.append(Load(url, 1, part, rate, CHUNK_S, tuple((event.label, event.frame) for event in detections)))
    return loads


async def run_streams(
    number: int, open_stream: StreamOpener, loads: list[Load], tally: LoadTally, begin: float, until: float
) -> int:
    """Run one stream after another from `begin` to `until`, seconds of `time.monotonic`; returns how many."""
    rng, played = np.random.default_rng(number), 0
    await asyncio.sleep(begin - time.monotonic() + rng.uniform(0, 5))
    while time.monotonic() < until:
        load = loads[int(rng.integers(len(loads)))]
        admitted = await open_all([number], open_stream, tally)
        for stream in admitted:
            tally.expected += len(load.expected)
            await play(load, encode(load.audio, "pcm_s16le"), stream, Pace(), tally)
            played += 1
        if not admitted:
            await asyncio.sleep(RETRY_S)
    return played


async def half_open(port: int, count: int) -> int:
    """Begin `count` handshakes at once that stop half-way; returns how many the server closed."""

    async def is_closed(number: int) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD[: number % len(HEAD)])
        closed = await reader.read() == b""
        writer.close()
        return closed

    return sum(await asyncio.gather(*(is_closed(number) for number in range(count))))


async def watch(pid: int, tally: LoadTally, seconds: float) -> list[ProcessSnapshot]:
    """Print one line per tenth of the time; returns a snapshot for each."""
    snapshots, reported = [], 0
    for tenth in range(TENTHS):
        await asyncio.sleep(seconds / TENTHS)
        snapshots.append(ProcessSnapshot.of(pid))
        latest, reported = tally.server_ms[reported:], len(tally.server_ms)
        p99 = f"p99 {np.percentile(latest, 99):7.2f} ms" if latest else "no p99"
        print(
            f"{(tenth + 1) * seconds / TENTHS / 60:6.1f} min  {snapshots[-1].memory / 2**20:7.1f} MB  "
            f"{snapshots[-1].files:5d} files  {p99}  {len(latest):6d} detections",
            flush=True,
        )
    return snapshots


async def soak(
    args: argparse.Namespace, pid: int, address: str, loads: list[Load]
) -> tuple[list[ProcessSnapshot], LoadTally]:
    """Run streams and half-open handshakes against the server for the time asked for."""
    tally, begin, seconds = LoadTally(), time.monotonic(), 60 * args.minutes
    begins = args.streams * [begin] + args.twice * args.streams * [begin + seconds / 2]
    port = int(address.rpartition(":")[2])
    until = begin + seconds
    sharing = replace(loads[0], streams=len(begins), shared_sockets=args.sockets)
    async with opener(sharing) as open_stream, asyncio.TaskGroup() as tasks:
        streams = [
            tasks.create_task(run_streams(i, open_stream, loads, tally, at, until)) for i, at in enumerate(begins)
        ]
        handshakes = tasks.create_task(half_open(port, args.half_open))
        snapshots = await watch(pid, tally, seconds)
    played = sum(stream.result() for stream in streams)
    refused = sum(tally.failures.pop(why) for why in list(tally.failures) if args.twice and why.startswith(REFUSED))
    print(f"{played} streams, {args.streams} at once, {refused} refused; {tally.found} of {tally.expected} words")
    if args.twice and not refused:
        tally.failures["no stream refused"] += 1
    print(f"half-open handshakes: {handshakes.result()} of {args.half_open} closed by the server")
    if handshakes.result() != args.half_open:
        tally.failures["half-open handshakes left"] += 1
    return snapshots, tally


def faults(
    before: ProcessSnapshot, snapshots: list[ProcessSnapshot], after: ProcessSnapshot, tally: LoadTally
) -> Iterator[str]:
    """What must not have happened, in words."""
    """What must not have happened, in words."""
    if tally.failures:
        yield f"streams failed: {dict(tally.failures)}"
    if tally.missed:
        yield f"words missed: {tally.missed}"
    if snapshots[-1].memory > GROWTH * snapshots[0].memory:
        yield f"memory: expected at most 5 % more than {snapshots[0].memory} bytes, got {snapshots[-1].memory}"
    if after.files > before.files:
        yield f"files: expected {before.files} open as at the start, got {after.files}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.soak", description="Load a server for a long time.")
    parser.add_argument("--minutes", type=float, default=30.0, help="(default: %(default)s)")
    parser.add_argument("--streams", type=int, default=100, help="open at once (default: %(default)s)")
    parser.add_argument("--sockets", type=int, default=0, help="that the streams share (default: one each)")
    parser.add_argument("--half-open", type=int, default=0, help="handshakes that stop half-way (default: %(default)s)")
    parser.add_argument("--twice", action="store_true", help="offer as many again in the second half of the time")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="(default: models)")
    parser.add_argument("--model", default="speech-commands-rc", help="(default: %(default)s)")
    args = parser.parse_args(argv)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    max_streams = args.streams if args.twice else 100_000
    with command(args.models, "--max-streams", str(max_streams), model=args.model) as (process, address):
        loads = make_loads(
            Model(args.models / args.model), f"ws://{address}/v1/stream{'s' if args.sockets else ''}", seed=0
        )
        httpx.get(f"http://{address}/v1/models", trust_env=False)  # past any proxy
        time.sleep(1)
        before = ProcessSnapshot.of(process.pid)
        snapshots, tally = asyncio.run(soak(args, process.pid, address, loads))
        time.sleep(2)
        after = ProcessSnapshot.of(process.pid)
    problems = list(faults(before, snapshots, after, tally))
    print(f"files open: {before.files} before, {after.files} after; {problems or 'no faults'}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
