"""What goes wrong at night, on the real command: dead workers, signals, clients that vanish, a clock that jumps."""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.server import Running, serving
from tests.support.server_process import command, workers_of
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import write_model, write_version
from tests.support.ws_client import Client, client, facts, stream

YES = pcm(synthesize("yes"))
SPEECH = pcm(synthesize("yes", "no", "yes"))


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "expected it to come true"
        time.sleep(0.05)


def sha256_of(address: str) -> str:
    (model,) = httpx.get(f"http://{address}/v1/models").json()["models"]
    return str(model["sha256"])


async def test_sigterm_at_load_loses_nothing_owed(tmp_path: Path, model: Model) -> None:
    """Before it, a SIGHUP: all that load goes on through a change of the model."""
    folder = write_model(tmp_path)
    with command(tmp_path) as (process, address):
        stop = asyncio.Event()

        async def talk(number: int) -> Any:
            data = SPEECH[number * 320 :] * 50
            async with client(f"ws://{address}/v1/stream?speed=fast") as one:
                sending = asyncio.create_task(one.send(data, 3200))
                await one.until("detection")
                await stop.wait()
                code, last = await one.closed()
                await asyncio.gather(sending, return_exceptions=True)
                return code, last, [facts(event) for event in one.detections], data

        talking = [asyncio.create_task(talk(number)) for number in range(20)]
        await asyncio.sleep(0.5)
        sha256 = write_version(folder, "2")
        process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(wait_for, lambda: sha256_of(address) == sha256)
        process.send_signal(signal.SIGTERM)
        stop.set()
        for code, last, got, data in await asyncio.gather(*talking):
            assert (code, last["type"]) == (1012, "summary")
            received = decode_pcm(data)[: round(last["audio_s"] * 16000)]
            assert got == [facts(event) for event in Spotter(model, speed="fast").push(received)]
            assert len(got) == last["detections"] > 0
        assert await asyncio.to_thread(process.wait, 15) in (0, -signal.SIGTERM)


def connections_of(pid: int, port: int) -> int:
    """How many connections to that port the process has open."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_ones = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    held = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            held += os.readlink(link) in open_ones
    return held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
async def test_a_killed_worker_comes_back_and_the_streams_of_the_other_go_on(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    async with AsyncExitStack() as stack:
        process, address = stack.enter_context(command(tmp_path, "--workers", "2"))
        workers = workers_of(process)
        assert len(workers) == 2
        port = int(address.rpartition(":")[2])
        opened: list[Client] = []
        for _ in range(300):  # until both have some: one may still be starting
            opened.append(await stack.enter_async_context(client(f"ws://{address}/v1/stream?speed=fast")))
            await opened[-1].until("ready")
            if all(connections_of(pid, port) for pid in workers):
                break
            await asyncio.sleep(0.05)
        assert f"kws_streams {len(opened)}.0" in httpx.get(f"http://{address}/metrics").text  # of both together

        os.kill(workers[0], signal.SIGKILL)
        await asyncio.sleep(0.2)
        alive = [one for one in opened if one.socket.close_code is None]
        assert 0 < len(alive) < len(opened)
        for one in alive:
            await one.send(YES, 1280)
            await one.until("detection")
        await asyncio.to_thread(wait_for, lambda: len(set(workers_of(process)) - {workers[0]}) == 2)
        for _ in range(5):
            assert len((await stream(f"ws://{address}/v1/stream", YES)).detections) == 1
        sha256 = write_version(folder, "2")
        process.send_signal(signal.SIGHUP)  # to both; one that is not up yet starts with the new model
        await asyncio.to_thread(wait_for, lambda: {sha256_of(address) for _ in range(20)} == {sha256})
        for one in alive:
            await one.ask("close")
            assert (await one.closed())[0] == 1000
        await asyncio.to_thread(
            wait_for, lambda: "\nkws_streams 0.0" in httpx.get(f"http://{address}/metrics").text
        )  # those of the dead are not counted


async def test_clients_that_vanish_in_the_middle_of_a_message_leave_nothing(server: Running) -> None:
    async with client(server.ws()) as healthy:
        for number in range(20):
            async with client(server.ws()) as one:
                await one.send(YES[:6400], 640)
                frame = b"\x82\xfe\x0c\x80mask" + bytes(100 * number)  # a header that promises 3,200 bytes
                one.socket.transport.write(frame)
                await asyncio.sleep(0)
                one.socket.transport.abort()
        await healthy.send(YES, 1280)
        await healthy.ask("close")
        await healthy.closed()
    assert [event["label"] for event in healthy.detections] == ["yes"]
    async with asyncio.timeout(5):
        while server.app.state.server.stream_count:
            await asyncio.sleep(0.02)


async def test_a_clock_that_is_set_changes_nothing(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    with serving(models_dir, idle_timeout_s=5) as running:
        async with client(running.ws()) as one:
            for step in (0, 86400, -86400, 10**9):
                monkeypatch.setattr(time, "time", lambda step=step: real() + step)
                await one.send(YES, 1280)
                await one.until("detection")
            await one.ask("close")
            code, last = await one.closed()
        assert httpx.get(f"{running.http}/readyz").status_code == 200
    assert (code, last["detections"]) == (1000, 4)
    latencies = [event["latency"][name] for event in one.detections for name in ("queue_ms", "compute_ms", "server_ms")]
    assert all(0 <= ms < 2000 for ms in latencies)
    assert np.isfinite(last["latency"]["p99_ms"])
