import asyncio
from pathlib import Path

from clients.bench import measure
from clients.bench.early import Cost, measure_early
from clients.bench.load import Load, LoadTally, connected, play_all
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.tone_model import RATE


def test_what_is_confirmed_is_what_a_stream_without_early_detections_detects(server: Running, models_dir: Path) -> None:
    audio = synthesize("no", "yes")
    load = Load(server.ws(), 3, audio, RATE, 0.02, measure.expected_of(models_dir / "tones", audio), early=True)
    tally = LoadTally()

    async def run() -> None:
        async with connected(load, tally) as streams:
            await play_all(load, streams, tally)

    asyncio.run(run())
    assert (tally.found, tally.expected, len(tally.lag_ms)) == (6, 6, 6)


LOAD = Load("", 7, synthesize("yes"), RATE, 0.02, ())


def test_rounds_take_turns_and_the_ratio_is_their_median() -> None:
    costs = iter([Cost(1.0, 8, 8), Cost(1.1, 8, 8), Cost(1.0, 8, 8), Cost(1.0, 8, 8)])
    measured: list[Load] = []

    def measure(load: Load) -> Cost:
        measured.append(load)
        return next(costs)

    result = measure_early(LOAD, 2, measure)
    assert [load.early for load in measured] == [False, True, True, False]
    assert (result.streams, result.chunk_ms, result.rounds) == (7, 20, 2)
    assert (result.cpu_ms_per_stream_s, result.with_early, result.ratio) == (1.0, 1.05, 1.05)
    assert (result.lowest_ratio, result.highest_ratio) == (1.0, 1.1)
    assert (result.found, result.expected) == (16, 16)


def test_rounds_that_lost_detections_have_no_ratio() -> None:
    costs = iter([Cost(1.0, 8, 8), Cost(1.1, 8, 8), Cost(0.5, 3, 8), Cost(1.0, 8, 8)])
    assert measure_early(LOAD, 2, lambda _: next(costs)).ratio == 1.1
    assert measure_early(LOAD, 1, lambda _: Cost(1.0, 7, 8)).ratio is None
