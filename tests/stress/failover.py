"""Servers behind a real proxy that stop, die and are added under load: every client ends with its words.

    python -m tests.stress.failover --streams 300 --seconds 90 --into docs/scaling.md

Starts three servers and HAProxy with deploy/haproxy.cfg on this machine, opens streams with clients.reconnecting at
live pace, sends SIGTERM to one server, SIGKILL to a second, and adds a fourth. Status 1 when a word is missing or one
more comes than a stream alone gives, when audio is lost, or when no stream moves to the server that was added.
"""

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
from uvicorn.loops.auto import auto_loop_factory

from clients.bench.markdown import marks, write_sections
from clients.bench.measure import read_metrics
from clients.connection import encode
from clients.pace import Pace
from clients.reconnecting import ReconnectingConnection, connect
from service.machine import this_machine
from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from service.testing import HOST, free_port, rc_serve, stop, wait_until_ready
from tests.stress.failover_report import SERVERS, StreamRecord, faults, make_report
from tests.support.haproxy import proxying
from tests.support.paths import ROOT

SECTION = "failover"
STARTS_S = 2.0  # streams start over this time
TERM, KILL, ADD, END = 0.15, 0.3, 0.4, 0.95  # when things happen: shares of the time
MAX_STREAM = 0.6  # how long a stream may be open: it moves once, after the last server was added


@dataclass(frozen=True)
class Server:
    """A server process and its log."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def sessions(self) -> set[str]:
        """The streams that it has begun."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return {line["session"] for line in lines if line["message"] == "stream begun"}

    def open_streams(self) -> int:
        """Its kws_streams; 0 where it does not run."""
        try:
            return round(read_metrics(self.port)["kws_streams"])
        except OSError:
            return 0


class Stage:
    """The servers, the audio, the streams."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args, self._folder = args, folder
        self.ports = [free_port() for _ in SERVERS]
        self.servers: list[Server] = []
        samples, self._rate = soundfile.read(args.recording, dtype="float32")
        length = round(args.seconds * self._rate)
        audio = np.tile(samples, 1 + length // len(samples))[:length]
        self._data = encode(audio, "pcm_s16le")
        spotter = Spotter(args.models / args.model, sample_rate=self._rate)
        detections = spotter.push(audio) + spotter.flush()
        self.words = [(event.label, event.audio_time_s) for event in detections if isinstance(event, Detection)]
        self.records = [StreamRecord() for _ in range(args.streams)]
        self.streams_open: dict[str, list[int]] = {}
        self.moments: dict[str, float] = {}

    def start_server(self) -> Server:
        """Start the next server and wait until it is ready."""
        port, log = self.ports[len(self.servers)], self._folder / f"{len(self.servers)}.log"
        flags = ["--log", "json", "--max-streams", "5000", "--max-stream-s", str(MAX_STREAM * self._args.seconds)]
        with log.open("wb") as to:
            command = rc_serve(port, self._args.models, self._args.model, *flags)
            self.servers.append(Server(subprocess.Popen(command, stderr=to), port, log))
        if not wait_until_ready(self.servers[-1].process, port):
            sys.exit(f"expected a server, got: {log.read_text()}")
        return self.servers[-1]

    async def play(self, port: int) -> None:
        """Play all streams while servers come and go."""
        url = f"ws://{HOST}:{port}/v1/stream"
        async with asyncio.TaskGroup() as tasks:
            begin = time.monotonic()
            for i, record in enumerate(self.records):
                tasks.create_task(self._play(url, record, STARTS_S * i / len(self.records)))
            await self._until(begin, TERM, "before")
            self.servers[0].process.terminate()
            await self._until(begin, KILL, "after SIGTERM")
            self.servers[1].process.kill()
            await self._until(begin, ADD, "after SIGKILL")
            await asyncio.to_thread(self.start_server)
            await self._until(begin, END, "after one was added and streams moved")

    async def _play(self, url: str, record: StreamRecord, delay_s: float) -> None:
        """Send at live pace and keep what comes."""
        await asyncio.sleep(delay_s)
        async with connect(url, sample_rate=self._rate) as stream, asyncio.TaskGroup() as tasks:
            record.sessions.append(stream.ready["session_id"])
            tasks.create_task(self._send(stream))
            await receive(stream, record)

    async def _send(self, stream: ReconnectingConnection) -> None:
        pace, step = Pace(), 2 * round(self._args.chunk_ms / 1000 * self._rate)
        for start in range(0, len(self._data), step):
            await pace.wait(min(len(self._data), start + step) / 2 / self._rate)
            await stream.send(self._data[start : start + step])
        await stream.close()

    async def _until(self, begin: float, share: float, moment: str) -> None:
        """Wait until this share of the time is over, and count the streams."""
        await asyncio.sleep(begin + share * self._args.seconds - time.monotonic())
        counts = [await asyncio.to_thread(server.open_streams) for server in self.servers]
        self.streams_open[moment] = counts + [0] * (len(SERVERS) - len(counts))
        self.moments[moment] = time.monotonic()


async def receive(stream: ReconnectingConnection, record: StreamRecord) -> None:
    """Keep the events of a stream."""
    left_at, words = 0.0, 0
    async for event in stream:
        now = time.monotonic()
        if event["type"] == "detection":
            record.words.append((event["label"], event["audio_time_s"]))
            record.server_ms.append((now, event["latency"]["server_ms"]))
        elif event["type"] == "error":
            left_at, words = left_at or now, len(record.words)
            record.errors.append(event["message"])
        elif event["type"] == "reconnected":
            facts = {"session": record.sessions[-1], "away_s": now - left_at, "words": words}
            record.breaks.append({**event, **facts})
            record.sessions.append(stream.ready["session_id"])
            left_at = 0.0


@contextmanager
def staged(args: argparse.Namespace) -> Iterator[tuple[Stage, int]]:
    """Three servers, and the port of the proxy in front of them; all end with the block."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(args, Path(folder))
        try:
            for _ in range(3):
                stage.start_server()
            with proxying(stage.ports) as port:
                yield stage, port
        finally:
            for server in stage.servers:
                stop(server.process)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.failover", description="Servers come and go.")
    parser.add_argument("--streams", type=int, default=300, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=90.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument("--chunk-ms", type=float, default=100.0, help="(default: %(default)s)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="(default: models)")
    parser.add_argument("--model", default="speech-commands-rc", help="(default: %(default)s)")
    parser.add_argument("--recording", type=Path, default=ROOT / "clients" / "demo" / "demo.flac")
    parser.add_argument("--into", type=Path, metavar="FILE", help=f"put the tables behind {marks(SECTION)[0]}")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    command = shlex.join(["python", "-m", "tests.stress.failover", *(sys.argv[1:] if argv is None else argv)])
    with staged(args) as (stage, port):
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(stage.play(port))
        sessions = [server.sessions() for server in stage.servers]
    measured = f"{datetime.now(UTC):%Y-%m-%d}, {this_machine()}"
    report = make_report(command, measured, stage.records, stage.words, sessions, stage.streams_open, stage.moments)
    print(report.to_markdown())
    if args.into:
        write_sections(args.into, {SECTION: report.to_markdown()})
    problems = list(faults(report))
    print(problems or "no faults")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
