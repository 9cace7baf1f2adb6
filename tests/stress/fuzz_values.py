"""What hostile clients send, drawn by hypothesis, and how their sessions are played."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.speech import pcm, synthesize

FAIR_ENDS = {1000, 1002, 1003, 1007, 1008, 1009, 1013}  # 1011 is a fault of the server, 1006 a crash
SESSION_S = 30.0  # limit of a session from its handshake to its end

YES = pcm(synthesize("yes"))
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KNOWN: dict[str, st.SearchStrategy[Any]] = {
    "sample_rate": st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    "encoding": st.sampled_from(["pcm_s16le", "pcm_f32le", "pcm_mulaw"]),
    "channels": st.sampled_from([1, 2]),
    "mode": st.sampled_from(["utterance", "continuous"]),
    "keywords": st.sampled_from([["yes"], ["yes", "no"]]),
    "speed": st.sampled_from(["fast", "balanced", "accurate"]),
    "threshold": st.floats(0.01, 1) | st.just({"yes": 0.5}),
    "refractory_s": st.floats(0, 5),
    "scores_every_ms": st.sampled_from([0, 10, 100]),
    "early": st.booleans(),
}
CONFIG = st.fixed_dictionaries({}, optional=KNOWN)
WILD = st.dictionaries(st.sampled_from([*KNOWN, "model", "token", "type"]) | st.text(max_size=5), JUNK, max_size=3)
CONTROL = st.sampled_from(["configure", "update", "reset", "flush", "keepalive", "nonsense"])
AUDIO = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda size, byte: bytes([byte]) * size, st.integers(0, 70_000), st.integers(0, 255)),
    st.sampled_from([1280, 20_000, 28_800]).map(lambda size: YES[:size]),
)


def repeat(
    play: Callable[[dict[str, Any]], Awaitable[str]], session: st.SearchStrategy[dict[str, Any]], count: int
) -> Counter[str]:
    """Play that many sessions, four at once; how they ended."""
    ends: Counter[str] = Counter()

    async def play_together(sessions: list[dict[str, Any]]) -> list[str]:
        return await asyncio.gather(*map(play, sessions))

    with asyncio.Runner() as runner:

        @settings(
            max_examples=-(-count // 4),
            phases=[Phase.generate],  # what depends on time does not shrink
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(session, min_size=4, max_size=4))
        def play_all(sessions: list[dict[str, Any]]) -> None:
            ends.update(runner.run(play_together(sessions)))

        play_all()
    return ends
