"""The engine on a real event loop, without sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from service.spotting.engine import (
    FIRST_ROWS,
    MAX_FRAMES_PER_RUN,
    MAX_FRAMES_PER_STREAM,
    Engine,
    EngineSlot,
    InferenceTiming,
)
from service.spotting.model import Model
from tests.support.speech import say
from tests.support.tone_model import HOP


class Gate:
    """A model whose runs can be held, and made to fail."""

    def __init__(self, model: Model) -> None:
        self._model, self.metadata, self.initial_state = model, model.metadata, model.initial_state
        self.open = threading.Event()
        self.open.set()
        self.running = threading.Event()
        self.fault: Callable[[Any], bool] = lambda _: False
        self.shapes: list[tuple[int, int]] = []

    def run(self, audio: Any, state: Any) -> Any:
        self.running.set()
        self.open.wait(5)
        self.shapes.append((len(audio), audio.shape[1] // HOP))
        if self.fault(audio):
            raise RuntimeError("no")
        return self._model.run(audio, state)


class Heard:
    """One stream and all it was called back with."""

    def __init__(self, engine: Engine) -> None:
        self.scores: list[Any] = []
        self.runs: list[InferenceTiming] = []
        self.faults: list[Exception] = []
        self.stream: EngineSlot = engine.open(self._take, self.faults.append)

    def _take(self, scores: Any, run: InferenceTiming) -> None:
        self.scores += list(scores)
        self.runs.append(run)

    async def until(self, frames: int) -> Any:
        async with asyncio.timeout(5):
            while len(self.scores) < frames and not self.faults:
                await asyncio.sleep(0.001)
        return np.array(self.scores)


@pytest.fixture
def gate(model: Model) -> Gate:
    return Gate(model)


@pytest_asyncio.fixture
async def engine(gate: Gate) -> AsyncIterator[Engine]:
    engine = Engine(gate, asyncio.get_running_loop(), lambda run: None)  # type: ignore[arg-type]
    yield engine
    gate.open.set()
    engine.close()


def hops(*words: str, seed: int = 0) -> Any:
    samples = say(*words, seed=seed)
    return samples[: len(samples) // HOP * HOP]


def solo(model: Model, samples: Any) -> Any:
    return model.run(samples[np.newaxis], model.initial_state(1))[0][0]


async def test_a_batch_scores_as_each_alone(engine: Engine, gate: Gate, model: Model) -> None:
    """More streams than there are slots at first, each with pieces of its own size, held until all are waiting."""
    rng = np.random.default_rng(0)
    audio = [
        hops(str(rng.choice(["yes", "no"])), seed=i)[: int(rng.integers(40, 80)) * HOP]
        for i in range(2 * FIRST_ROWS + 1)
    ]
    streams = [Heard(engine) for _ in audio]
    gate.open.clear()
    for samples, one in zip(audio, streams, strict=True):
        size = int(rng.integers(1, 9)) * HOP
        for start in range(0, len(samples), size):
            one.stream.push(samples[start : start + size])
    gate.open.set()
    for samples, one in zip(audio, streams, strict=True):
        np.testing.assert_allclose(await one.until(len(samples) // HOP), solo(model, samples), atol=1e-5)
    assert max(rows for rows, _ in gate.shapes) >= FIRST_ROWS
    assert len(gate.shapes) < 400  # of 1,900 stream frames


async def test_a_run_is_bounded_for_each_stream_and_for_all(engine: Engine, gate: Gate, model: Model) -> None:
    samples = np.tile(hops("yes"), 8)
    streams = [Heard(engine) for _ in range(MAX_FRAMES_PER_RUN // MAX_FRAMES_PER_STREAM + 1)]
    for one in streams:
        one.stream.push(samples)
    for one in streams:
        np.testing.assert_allclose(await one.until(len(samples) // HOP), solo(model, samples), atol=1e-5)
    assert max(frames for _, frames in gate.shapes) == MAX_FRAMES_PER_STREAM
    assert max(rows * frames for rows, frames in gate.shapes) == MAX_FRAMES_PER_RUN


async def test_streams_that_have_less_wait_for_a_run_of_their_own(engine: Engine, gate: Gate) -> None:
    """Long and short chunks are not cut to the same length, which would leave a rest of all the others each time."""
    streams = [Heard(engine) for _ in range(6)]
    for i, one in enumerate(streams):
        one.stream.push(hops("yes")[: (1 + i % 2) * HOP])
    for i, one in enumerate(streams):
        await one.until(1 + i % 2)
    assert gate.shapes == [(6, 1), (3, 1)]
    gate.shapes.clear()
    for i, one in enumerate(streams):
        one.stream.push(hops("yes")[: (2 - i % 2) * HOP])
    for one in streams:
        await one.until(3)
    assert gate.shapes == [(3, 2), (3, 1)]


async def test_what_comes_shortly_after_a_run_shares_the_next(
    engine: Engine, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.spotting.engine.PACE_S", 0.3)
    first, *others = streams = [Heard(engine) for _ in range(4)]
    first.stream.push(hops("yes")[:HOP])
    await first.until(1)
    for one in others:
        await asyncio.sleep(0.01)
        one.stream.push(hops("yes")[:HOP])
    for one in streams:
        await one.until(1)
    assert gate.shapes == [(1, 1), (3, 1)]


async def test_a_reset_forgets_what_waits_and_what_runs(engine: Engine, gate: Gate, model: Model) -> None:
    one = Heard(engine)
    gate.open.clear()
    gate.running.clear()
    one.stream.push(hops("no"))  # in the run
    assert await asyncio.to_thread(gate.running.wait, 5)
    one.stream.push(hops("no"))  # waiting
    one.stream.reset()
    one.stream.push(hops("yes"))
    gate.open.set()
    np.testing.assert_allclose(await one.until(90), solo(model, hops("yes")), atol=1e-6)


async def test_a_slot_given_back_in_mid_run_is_clean_for_the_next(engine: Engine, gate: Gate, model: Model) -> None:
    leavers = [Heard(engine) for _ in range(FIRST_ROWS)]
    gate.open.clear()
    gate.running.clear()
    for one in leavers:
        one.stream.push(hops("no"))
    assert await asyncio.to_thread(gate.running.wait, 5)
    for one in leavers:
        one.stream.close()
    comers = [Heard(engine) for _ in range(FIRST_ROWS)]
    for one in comers:
        one.stream.push(hops("yes"))
    gate.open.set()
    for one in comers:
        np.testing.assert_allclose(await one.until(90), solo(model, hops("yes")), atol=1e-6)
    assert [len(one.scores) for one in leavers] == [0] * FIRST_ROWS


async def test_slots_are_used_again(engine: Engine, model: Model) -> None:
    for _ in range(3 * FIRST_ROWS):
        one = Heard(engine)
        one.stream.push(hops("yes")[: 10 * HOP])
        await one.until(10)
        one.stream.close()
    assert len(engine._state["state_h"]) == FIRST_ROWS


async def test_a_fault_reaches_its_streams_and_no_other(engine: Engine, gate: Gate, model: Model) -> None:
    healthy, ill = Heard(engine), Heard(engine)
    samples = hops("yes")
    healthy.stream.push(samples[: 30 * HOP])
    await healthy.until(30)
    gate.fault = lambda audio: bool(audio.max() > 0.9)
    ill.stream.push(np.ones(HOP, np.float32))
    await ill.until(1)
    assert [str(error) for error in ill.faults] == ["no"]
    healthy.stream.push(samples[30 * HOP :])
    np.testing.assert_allclose(await healthy.until(90), solo(model, samples), atol=1e-6)
    assert healthy.faults == ill.scores == []


async def test_a_stream_that_chokes_on_its_scores_does_not_keep_those_of_others(engine: Engine, gate: Gate) -> None:
    def choke(scores: Any, run: InferenceTiming) -> None:
        raise ValueError("choked")

    faults: list[Exception] = []
    choking, healthy = engine.open(choke, faults.append), Heard(engine)
    gate.open.clear()
    choking.push(hops("yes"))
    healthy.stream.push(hops("yes"))
    gate.open.set()
    await healthy.until(90)
    assert {str(error) for error in faults} == {"choked"}


async def test_runs_tell_their_times_and_size(gate: Gate) -> None:
    runs: list[InferenceTiming] = []
    engine = Engine(gate, asyncio.get_running_loop(), runs.append)  # type: ignore[arg-type]
    one = Heard(engine)
    one.stream.push(hops("yes"))
    await one.until(90)
    engine.close()
    assert runs == one.runs
    assert [run.streams for run in runs] == [1] * -(-90 // MAX_FRAMES_PER_STREAM)
    assert all(run.began < run.ended for run in runs)
