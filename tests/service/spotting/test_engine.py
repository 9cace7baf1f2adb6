"""The engine on a real event loop, without sockets."""

import asyncio
import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from service.spotting.audio import FULL_SCALE, to_float
from service.spotting.engine import (
    FIRST_ROWS,
    MAX_FRAMES_PER_RUN,
    MAX_FRAMES_PER_STREAM,
    Engine,
    EngineSlot,
    InferenceTiming,
)
from service.spotting.model import Model
from tests.support.speech import synthesize
from tests.support.tone_model import HOP


class CountingModel:
    """A model that keeps the size of each run, and can be made to fail."""

    def __init__(self, model: Model) -> None:
        self._model, self.metadata, self.initial_state = model, model.metadata, model.initial_state
        self.fault: Callable[[Any], bool] = lambda _: False
        self.shapes: list[tuple[int, int]] = []

    def advance(self, audio: Any, state: Any, rows: Any) -> Any:
        self.shapes.append((len(audio), audio.shape[1] // HOP))
        if self.fault(audio):
            raise RuntimeError("no")
        return self._model.advance(audio, state, rows)


class ScoreCollector:
    """One stream, its scores, runs and faults."""

    def __init__(self, engine: Engine) -> None:
        self.scores: list[Any] = []
        self.runs: list[InferenceTiming] = []
        self.peaks: list[tuple[float, float]] = []
        self.faults: list[Exception] = []
        self.stream: EngineSlot = engine.open(self._take, self.faults.append)

    def _take(self, scores: Any, peak: float, run: InferenceTiming) -> None:
        self.peaks.append((peak, scores[:, :2].max()))  # of the model's keywords
        self.scores += list(scores)
        self.runs.append(run)

    async def until(self, frames: int) -> Any:
        async with asyncio.timeout(5):
            while len(self.scores) < frames and not self.faults:
                await asyncio.sleep(0.001)
        return np.array(self.scores)


@pytest.fixture
def counting(model: Model) -> CountingModel:
    return CountingModel(model)


@pytest_asyncio.fixture
async def engine(counting: CountingModel) -> Engine:
    return Engine(counting, asyncio.get_running_loop(), lambda run: None, perf_counter)  # type: ignore[arg-type]


def hops(*words: str, seed: int = 0) -> Any:
    samples = synthesize(*words, seed=seed)
    return samples[: len(samples) // HOP * HOP]


def solo(model: Model, samples: Any) -> Any:
    return model.run(samples[np.newaxis], model.initial_state(1))[0][0]


async def test_a_batch_scores_as_each_alone(engine: Engine, counting: CountingModel, model: Model) -> None:
    """More streams than there are slots at first, each with pieces of its own size."""
    rng = np.random.default_rng(0)
    audio = [
        hops(str(rng.choice(["yes", "no"])), seed=i)[: int(rng.integers(40, 80)) * HOP]
        for i in range(2 * FIRST_ROWS + 1)
    ]
    streams = [ScoreCollector(engine) for _ in audio]
    for samples, one in zip(audio, streams, strict=True):
        size = int(rng.integers(1, 9)) * HOP
        for start in range(0, len(samples), size):
            one.stream.push(samples[start : start + size])
    for samples, one in zip(audio, streams, strict=True):
        np.testing.assert_allclose(await one.until(len(samples) // HOP), solo(model, samples), atol=1e-5)
        assert len(one.peaks) > 1
        assert all(peak == expected for peak, expected in one.peaks)
    assert max(rows for rows, _ in counting.shapes) >= FIRST_ROWS
    assert len(counting.shapes) < 400  # of 1,900 stream frames


async def test_integers_and_floats_share_a_run(engine: Engine, counting: CountingModel, model: Model) -> None:
    samples = hops("yes")[: 60 * HOP]
    integers = np.rint(samples * FULL_SCALE).astype(np.int16)
    as_integers, as_floats, as_both = streams = [ScoreCollector(engine) for _ in range(3)]
    for start in range(0, len(samples), 10 * HOP):
        piece = slice(start, start + 10 * HOP)
        as_integers.stream.push(integers[piece])
        as_floats.stream.push(to_float(integers[piece]))
        as_both.stream.push(integers[piece] if start % (20 * HOP) else to_float(integers[piece]))
    for one in streams:
        np.testing.assert_allclose(await one.until(60), solo(model, to_float(integers)), atol=1e-6)
    assert {rows for rows, _ in counting.shapes} == {3}


async def test_a_run_is_bounded_for_each_stream_and_for_all(
    engine: Engine, counting: CountingModel, model: Model
) -> None:
    samples = np.tile(hops("yes"), 8)
    streams = [ScoreCollector(engine) for _ in range(MAX_FRAMES_PER_RUN // MAX_FRAMES_PER_STREAM + 1)]
    for one in streams:
        one.stream.push(samples)
    for one in streams:
        np.testing.assert_allclose(await one.until(len(samples) // HOP), solo(model, samples), atol=1e-5)
    assert max(frames for _, frames in counting.shapes) == MAX_FRAMES_PER_STREAM
    assert max(rows * frames for rows, frames in counting.shapes) == MAX_FRAMES_PER_RUN


async def test_streams_that_have_less_wait_for_a_run_of_their_own(engine: Engine, counting: CountingModel) -> None:
    """Long and short chunks are not cut to the same length, which would leave a rest of all the others each time."""
    streams = [ScoreCollector(engine) for _ in range(6)]
    for i, one in enumerate(streams):
        one.stream.push(hops("yes")[: (1 + i % 2) * HOP])
    for i, one in enumerate(streams):
        await one.until(1 + i % 2)
    assert counting.shapes == [(6, 1), (3, 1)]
    counting.shapes.clear()
    for i, one in enumerate(streams):
        one.stream.push(hops("yes")[: (2 - i % 2) * HOP])
    for one in streams:
        await one.until(3)
    assert counting.shapes == [(3, 2), (3, 1)]


async def test_what_comes_shortly_after_a_run_shares_the_next(
    engine: Engine, counting: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.spotting.engine.MIN_PACE_S", 0.3)
    first, *others = streams = [ScoreCollector(engine) for _ in range(4)]
    first.stream.push(hops("yes")[:HOP])
    await first.until(1)
    for one in others:
        await asyncio.sleep(0.01)
        one.stream.push(hops("yes")[:HOP])
    for one in streams:
        await one.until(1)
    assert counting.shapes == [(1, 1), (3, 1)]


async def test_the_loop_goes_round_between_the_runs_of_a_batch(engine: Engine, counting: CountingModel) -> None:
    streams = [ScoreCollector(engine) for _ in range(MAX_FRAMES_PER_RUN // MAX_FRAMES_PER_STREAM * 3)]
    for one in streams:
        one.stream.push(hops("yes")[: MAX_FRAMES_PER_STREAM * HOP])
    rounds = 0
    while len(counting.shapes) < 3:
        await asyncio.sleep(0)
        rounds += 1
        assert len(counting.shapes) <= rounds
    for one in streams:
        await one.until(MAX_FRAMES_PER_STREAM)


async def test_a_reset_forgets_what_waits(engine: Engine, counting: CountingModel, model: Model) -> None:
    one = ScoreCollector(engine)
    one.stream.push(hops("no"))
    while not counting.shapes:
        await asyncio.sleep(0)  # the first run; the rest waits
    one.stream.reset()
    one.scores.clear()
    one.stream.push(hops("yes"))
    np.testing.assert_allclose(await one.until(90), solo(model, hops("yes")), atol=1e-6)


async def test_a_stream_reset_by_another_of_its_run_gets_no_scores_of_it(engine: Engine, model: Model) -> None:
    last = ScoreCollector(engine)
    first = engine.open(lambda scores, peak, run: last.stream.reset(), lambda error: None)
    first.push(hops("no")[:HOP])
    last.stream.push(hops("no")[:HOP])
    await asyncio.sleep(0.02)
    assert last.scores == []
    last.stream.push(hops("yes"))
    np.testing.assert_allclose(await last.until(90), solo(model, hops("yes")), atol=1e-6)


async def test_a_row_given_back_is_clean_for_the_next_stream(
    engine: Engine, counting: CountingModel, model: Model
) -> None:
    closing = [ScoreCollector(engine) for _ in range(FIRST_ROWS)]
    for one in closing:
        one.stream.push(hops("no"))
    while not counting.shapes:
        await asyncio.sleep(0)  # the rest waits
    for one in closing:
        one.stream.close()
        one.scores.clear()
    new = [ScoreCollector(engine) for _ in range(FIRST_ROWS)]
    for one in new:
        one.stream.push(hops("yes"))
    for one in new:
        np.testing.assert_allclose(await one.until(90), solo(model, hops("yes")), atol=1e-6)
    assert not any(one.scores for one in closing)


async def test_rows_are_used_again(engine: Engine, model: Model) -> None:
    for _ in range(3 * FIRST_ROWS):
        one = ScoreCollector(engine)
        one.stream.push(hops("yes")[: 10 * HOP])
        await one.until(10)
        one.stream.close()
    assert len(engine._state["state_h"]) == FIRST_ROWS


async def test_a_fault_reaches_its_streams_and_no_other(engine: Engine, counting: CountingModel, model: Model) -> None:
    healthy, failing = ScoreCollector(engine), ScoreCollector(engine)
    samples = hops("yes")
    healthy.stream.push(samples[: 30 * HOP])
    await healthy.until(30)
    counting.fault = lambda audio: bool(audio.max() > 0.9)
    failing.stream.push(np.ones(HOP, np.float32))
    await failing.until(1)
    assert [str(error) for error in failing.faults] == ["no"]
    healthy.stream.push(samples[30 * HOP :])
    np.testing.assert_allclose(await healthy.until(90), solo(model, samples), atol=1e-6)
    assert healthy.faults == failing.scores == []


async def test_a_stream_that_fails_on_its_scores_keeps_nothing_from_others(
    engine: Engine, counting: CountingModel
) -> None:
    def raise_error(scores: Any, peak: float, run: InferenceTiming) -> None:
        raise ValueError("no scores wanted")

    faults: list[Exception] = []
    raising, healthy = engine.open(raise_error, faults.append), ScoreCollector(engine)
    raising.push(hops("yes"))
    healthy.stream.push(hops("yes"))
    await healthy.until(90)
    assert {str(error) for error in faults} == {"no scores wanted"}


async def test_runs_have_their_times_and_size(counting: CountingModel) -> None:
    runs: list[InferenceTiming] = []
    engine = Engine(counting, asyncio.get_running_loop(), runs.append, perf_counter)  # type: ignore[arg-type]
    one = ScoreCollector(engine)
    one.stream.push(hops("yes"))
    await one.until(90)
    assert runs == one.runs
    assert [run.streams for run in runs] == [1] * -(-90 // MAX_FRAMES_PER_STREAM)
    assert all(run.began < run.ended for run in runs)


async def test_scores_below_the_level_of_a_stream_are_counted_and_not_handed_over(
    engine: Engine, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.spotting.engine.LATE_S", math.inf)
    samples = hops("yes")
    expected = solo(model, samples)
    collector = ScoreCollector(engine)
    collector.stream.level = level = 0.5
    for start in range(0, len(samples), HOP):
        collector.stream.push(samples[start : start + HOP])
        while collector.stream.samples:
            await asyncio.sleep(0.001)
    high = expected[:, :2].max(axis=1) >= level
    assert 0 < high.sum() < len(high)
    np.testing.assert_allclose(collector.scores, expected[high], atol=1e-6)
    assert collector.stream.passed == len(high) - high.sum()


async def test_late_scores_are_handed_over_whatever_they_are(
    engine: Engine, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.spotting.engine.LATE_S", 0.0)
    collector = ScoreCollector(engine)
    collector.stream.level = 1.1
    collector.stream.push(hops("yes"))
    np.testing.assert_allclose(await collector.until(90), solo(model, hops("yes")), atol=1e-6)
    assert collector.stream.passed == 0
