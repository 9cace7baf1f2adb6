"""Hostile clients by the thousand against a server of their own, and a healthy stream beside them.

    python -m tests.stress.fuzz --sessions 10000 --shared 2000 --files 2000 --requests 200

Ends with status 1 at the first session or file that the server does not answer as docs/protocol.md says, and when a
slot is lost, an event of the healthy stream is missing, or the server's log has a traceback. Prints what it did.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from clients.connection import connect as healthy_connect
from clients.pace import Pace
from tests.stress.fuzz_values import AUDIO, CONFIG, CONTROL, FAIR_ENDS, JUNK, SESSION_S, WILD, repeat
from tests.stress.shared_sessions import fuzz_shared_sessions
from tests.support.server_process import command
from tests.support.speech import synthesize
from tests.support.tone_model import write_model
from tests.support.unusual_files import damaged, unusual

SLOTS_S = 30.0  # limit for the last streams to give their slots back
FILES_PER_REQUEST = 20

TEXT = st.one_of(
    st.builds(lambda kind, fields: json.dumps({**fields, "type": kind}), CONTROL, CONFIG | WILD),
    st.builds(json.dumps, JUNK),
    st.text(max_size=30),
    st.just("[" * 5000),
)
STEP = st.tuples(st.sampled_from(["audio", "audio", "text", "raw", "wait"]), AUDIO, TEXT)
SESSION = st.fixed_dictionaries(
    {
        "query": st.just({}) | CONFIG | WILD,
        "steps": st.lists(STEP, max_size=8),
        "end": st.sampled_from(["close", "close", "leave", "abort", "half"]),
    }
)


async def run_session(url: str, session: dict[str, Any]) -> str:
    """Play one; says how it ended. Raises AssertionError for a wrong end, and for one that hangs."""
    try:
        async with asyncio.timeout(SESSION_S):
            return await play_session(url, session)
    except TimeoutError:
        steps = [(kind, audio[:20] if kind != "text" else text[:80]) for kind, audio, text in session["steps"]]
        raise AssertionError(f"expected an end, got none: {session['query']} {steps} {session['end']}") from None


async def play_session(url: str, session: dict[str, Any]) -> str:
    try:
        socket = await connect(f"{url}?{urlencode(session['query'])}", compression=None, proxy=None)
    except InvalidStatus as refused:
        if refused.response.status_code != 503:
            raise
        return "refused"
    with suppress(ConnectionClosed, ConnectionError, RuntimeError):  # the socket is closed already
        for kind, audio, text in session["steps"]:
            if kind == "audio":
                await socket.send(audio)
            if kind == "text":
                await socket.send(text)
            if kind == "raw":
                socket.transport.write(audio[:40])
                session = {**session, "end": "abort"}  # the server may wait for the rest of half a message
            await asyncio.sleep(0)
        if session["end"] == "half":
            socket.transport.write(b"\x82\xfe\x10\x00mask")
        if session["end"] in ("half", "abort"):
            socket.transport.abort()
            return str(session["end"])
        if session["end"] == "leave":
            await socket.close()
            return "left"
        await socket.send('{"type":"close"}')
    with suppress(ConnectionClosed):
        async for message in socket:
            json.loads(message)
    code = socket.close_code
    assert code in FAIR_ENDS or session["end"] == "abort", f"expected an end among {FAIR_ENDS}, got {code}"
    return str(code)


def fuzz_sessions(address: str, count: int) -> Counter[str]:
    """That many sessions, four at once."""
    return repeat(lambda session: run_session(f"ws://{address}/v1/stream", session), SESSION, count)


def fuzz_files(address: str, count: int, seed: int) -> Counter[str]:
    """That many files, half of them unusual and half damaged: the unusual ones are read whole, and a damaged one gets a
    result or an error of its own.
    """
    rng, answers = np.random.default_rng(seed), Counter[str]()
    with httpx.Client(base_url=f"http://{address}", timeout=60, trust_env=False) as http:
        for start in range(0, count, FILES_PER_REQUEST):
            good = {str(number): unusual(rng) for number in range(start, min(start + FILES_PER_REQUEST, count), 2)}
            bad = {str(number): damaged(rng) for number in range(start + 1, min(start + FILES_PER_REQUEST, count), 2)}
            files = [*((name, file.content) for name, file in good.items()), *bad.items()]
            answer = http.post("/v1/classify", files=[("files", file) for file in files])
            assert answer.status_code == 200, answer.text
            results = answer.json()["results"]
            assert [result["file"] for result in results] == [*good, *bad]
            for result, file in zip(results, good.values(), strict=False):
                assert result.get("duration_s", 0) >= file.samples / 16000, (file.kind, file.content[:64], result)
            answers.update("error" if "error" in result else "label" for result in results)
            assert {result["error"]["code"] for result in results if "error" in result} <= {"bad_audio"}
    return answers


def fuzz_requests(address: str, count: int) -> None:
    """schemathesis on the whole OpenAPI: `count` examples of each operation, and no 5xx."""
    arguments = [
        "run",
        f"http://{address}/openapi.json",
        "--checks",
        "not_a_server_error",
        "--max-examples",
        str(count),
    ]
    command = [sys.executable, "-m", "schemathesis.cli", *arguments, "--generation-database", "none", "--no-color"]
    with tempfile.TemporaryDirectory() as folder:  # it leaves a cache where it runs
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Healthy(threading.Thread):
    """A stream at live pace for as long as all this lasts: every word must be detected, at its frame."""

    def __init__(self, address: str) -> None:
        super().__init__(name="healthy", daemon=True)
        self._url, self._enough = f"ws://{address}/v1/stream", threading.Event()
        self.expected, self.detected = 0, 0
        self.server_ms: list[float] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._stream())
        except BaseException as error:
            self.failure = error

    async def _stream(self) -> None:
        samples, frames = synthesize("yes", "no"), []
        async with await healthy_connect(self._url) as stream:
            sending = asyncio.create_task(self._send(stream, samples))
            async for event in stream:
                if event["type"] == "detection":
                    frames.append((event["label"], event["frame"]))
                    self.server_ms.append(event["latency"]["server_ms"])
            await sending
        period = len(samples) // 160
        first = frames[:2]
        wanted = [(label, frame + period * turn) for turn in range(self.expected // 2) for label, frame in first]
        self.detected = len(set(wanted) & set(frames))

    async def _send(self, stream: Any, samples: Any) -> None:
        pace, sent = Pace(), 0
        while not self._enough.is_set():
            for start in range(0, len(samples), 640):
                piece = samples[start : start + 640]
                sent += len(piece)
                await pace.wait(sent / 16000)
                await stream.send(piece)
            self.expected += 2
        await stream.close()

    def stop(self) -> None:
        """Raises AssertionError when it missed anything."""
        self._enough.set()
        self.join()
        assert self.failure is None, self.failure
        assert self.detected == self.expected > 0, (
            f"healthy stream: expected {self.expected} events, got {self.detected}"
        )


@contextmanager
def watched(address: str) -> Iterator[Healthy]:
    """A healthy stream beside what is done; afterwards no slot is lost."""
    healthy = Healthy(address)
    healthy.start()
    yield healthy
    healthy.stop()
    end = time.monotonic() + SLOTS_S
    while "\nkws_streams 0.0" not in httpx.get(f"http://{address}/metrics", trust_env=False).text:
        assert time.monotonic() < end, "expected no stream to be left open"
        time.sleep(0.1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.fuzz", description="Hostile clients by the thousand.")
    parser.add_argument("--sessions", type=int, default=10_000, help="WebSocket sessions (default: %(default)s)")
    parser.add_argument("--shared", type=int, default=2_000, help="on shared sockets (default: %(default)s)")
    parser.add_argument("--files", type=int, default=2_000, help="unusual and damaged ones (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="examples of each operation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the files (default: %(default)s)")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        flags = ("--idle-timeout-s", "5", "--max-requests-per-s", "100000", "--log", "json")
        log = Path(folder) / "log"
        with command(Path(folder), *flags, log=log) as (_, address), watched(address) as healthy:
            ends = fuzz_sessions(address, asked.sessions)
            shared = fuzz_shared_sessions(address, asked.shared)
            answers = fuzz_files(address, asked.files, asked.seed)
            if asked.requests:
                fuzz_requests(address, asked.requests)
        failures = [line for line in log.read_text().splitlines() if '"level": "error"' in line]
    print(f"sessions: {ends.total()}, ends: {dict(ends.most_common())}")
    print(f"shared sockets: {shared.total()}, ends: {dict(shared.most_common())}")
    print(f"files: {answers.total()}, {dict(answers)}; requests: {asked.requests} of each operation, none 5xx")
    late = np.percentile(healthy.server_ms, [50, 99, 100])
    print(f"healthy stream: {healthy.detected} of {healthy.expected} events; server_ms p50, p99, most: {late.round(1)}")
    print(f"errors in the server's log: {len(failures)}", *failures[:3], sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
