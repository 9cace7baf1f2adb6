"""Hostile streams on the socket of a healthy one, which must detect what it detects alone."""

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import strategies as st

from tests.stress.fuzz_values import AUDIO, CONFIG, CONTROL, FAIR_ENDS, JUNK, SESSION_S, WILD, YES, repeat
from tests.support.ws_client import SharedSocketClient, facts, shared_client

HEALTHY = 0xC0FFEE  # its id, which no hostile message has
EXPECTED = [("yes", 27)]  # label and frame of its detection
STREAM = st.integers(0, 3) | st.just(2**32 - 1)
BLOCKS = st.lists(st.tuples(STREAM, AUDIO.filter(lambda audio: len(audio) < 30_000)), max_size=4)
CONTROLS = st.builds(
    lambda kind, fields, stream: json.dumps({**fields, "type": kind, "stream": stream}), CONTROL, CONFIG | WILD, STREAM
)
STRAY = st.one_of(  # of no stream
    st.builds(lambda kind, stream: json.dumps({"type": kind, "stream": stream}), CONTROL, JUNK),
    st.builds(json.dumps, JUNK),
    st.text(max_size=30),
    st.just("[" * 5000),
    st.binary(max_size=40),
)
STEP = BLOCKS | CONTROLS | STRAY
SESSION = st.fixed_dictionaries(
    {
        "configs": st.lists(CONFIG, min_size=3, max_size=4),  # of the streams 0, 1, ...
        "steps": st.lists(STEP, min_size=3, max_size=12),
        "abort": st.booleans(),
    }
)


async def run_session(url: str, session: dict[str, Any]) -> str:
    """Play one; how it ended. Raises AssertionError when the healthy stream notices anything."""
    try:
        async with asyncio.timeout(SESSION_S), shared_client(url) as socket:
            await socket.ask("configure", stream=HEALTHY)
            await socket.stream_until(HEALTHY, "ready")
            for stream, config in enumerate(session["configs"]):
                await socket.ask("configure", stream=stream, **config)
            pieces = [YES[start : start + 2400] for start in range(0, len(YES), 2400)]
            for step in session["steps"]:
                await _send(socket, step)
                if pieces:
                    await socket.send_audio((HEALTHY, pieces.pop(0)))
            await socket.send_audio((HEALTHY, b"".join(pieces)))
            await socket.ask("close", stream=HEALTHY)
            ended = await socket.stream_until(HEALTHY, "ended")
            _check(socket, ended)
            if session["abort"]:
                socket.socket.transport.abort()
    except TimeoutError:
        raise AssertionError(f"expected an end, got none: {session}") from None
    return "aborted" if session["abort"] else "left"


async def _send(socket: SharedSocketClient, step: Any) -> None:
    if isinstance(step, list):
        await socket.send_audio(*step)
    else:
        await socket.socket.send(step)


def _check(socket: SharedSocketClient, ended: dict[str, Any]) -> None:
    assert ended["code"] == 1000, socket.of[HEALTHY]
    detected = [facts(event)[:2] for event in socket.of[HEALTHY] if event["type"] == "detection"]
    assert detected == EXPECTED, socket.of[HEALTHY]
    ends = {event["code"] for events in socket.of.values() for event in events if event["type"] == "ended"}
    assert ends <= FAIR_ENDS, ends


def fuzz_shared_sessions(address: str, count: int) -> Counter[str]:
    """That many sessions, four at once."""
    return repeat(lambda session: run_session(f"ws://{address}/v1/streams", session), SESSION, count)
