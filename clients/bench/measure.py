"""One load on one server: its CPU time, memory and batches from /metrics, the detections against one stream alone."""

import asyncio
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from uvicorn.loops.auto import auto_loop_factory

from clients.bench.load import ExpectedDetection, Load, LoadTally, connected, play_all, turns_of
from clients.bench.results import LoadResult
from service.spotting.audio import Samples
from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from service.testing import HOST

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
        silent=round(1 - 1 / len(turns_of(load)), 2),
        cpu_ms_per_stream_s=round(cpu_ms, 3),
        transport_alone=None,
        of_transport=None,
        of_own_sockets=None,
        streams_per_core=int(1000 / max(cpu_ms, 1e-3)),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        max_ms=max_ms,
        wait_ms=round(float(np.mean(tally.wait_ms)), 1) if tally.wait_ms else None,
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
