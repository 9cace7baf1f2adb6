"""Hostile streams on the socket of a healthy one, which must detect what it detects alone."""

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import strategies as st

from tests.stress.fuzz_values import AUDIO, CONFIG, CONTROL, FAIR_ENDS, JUNK, SESSION_S, WILD, YES, repeat
from tests.support.ws_client import SharedClient, facts, shared_client

HEALTHY = 0xC0FFEE  # its id, which no hostile message has
EXPECTED = [("yes", 27)]  # label and frame of its detection
STREAM = st.integers(0, 3) | st.just(2**32 - 1)
BLOCKS = st.lists(st.tuples(STREAM, AUDIO.filter(lambda audio: len(audio) < 30_000)), max_size=4)
ADDRESS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({"stream": STREAM | JUNK}) | st.just({})
TEXT = st.one_of(
    st.builds(
        lambda kind, fields, address: json.dumps({**fields, "type": kind, **address}),
        CONTROL | st.just("configure"),
        CONFIG | WILD,
        ADDRESS,
    ),
    st.builds(json.dumps, JUNK),
    st.text(max_size=30),
    st.just("[" * 5000),
)
STEP = st.one_of(st.tuples(st.just("audio"), BLOCKS), st.tuples(st.just("broken"), st.binary(max_size=40)), TEXT)
SESSION = st.fixed_dictionaries({"steps": st.lists(STEP, max_size=12), "abort": st.booleans()})


async def run_session(url: str, session: dict[str, Any]) -> str:
    """Play one; how it ended. Raises AssertionError when the healthy stream notices anything."""
    try:
        async with asyncio.timeout(SESSION_S), shared_client(url) as socket:
            await socket.ask("configure", stream=HEALTHY)
            await socket.stream_until(HEALTHY, "ready")
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


async def _send(socket: SharedClient, step: Any) -> None:
    if isinstance(step, str):
        await socket.socket.send(step)
    elif step[0] == "audio":
        await socket.send_audio(*step[1])
    else:
        await socket.socket.send(step[1])


def _check(socket: SharedClient, ended: dict[str, Any]) -> None:
    assert ended["code"] == 1000, socket.of[HEALTHY]
    detected = [facts(event)[:2] for event in socket.of[HEALTHY] if event["type"] == "detection"]
    assert detected == EXPECTED, socket.of[HEALTHY]
    ends = {event["code"] for events in socket.of.values() for event in events if event["type"] == "ended"}
    assert ends <= FAIR_ENDS, ends


def fuzz_shared_sessions(address: str, count: int) -> Counter[str]:
    """That many sessions, four at once."""
    return repeat(lambda session: run_session(f"ws://{address}/v1/streams", session), SESSION, count)
