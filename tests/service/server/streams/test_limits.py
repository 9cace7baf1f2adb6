import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest

from service.server.streams.limits import ActivityLimits, BacklogLimit, StreamTimeOverError, draw_stream_s
from service.spotting.config import ProtocolError


async def test_silence_on_the_line_is_counted_from_the_latest_message() -> None:
    activity = ActivityLimits(0.1)
    watching = asyncio.create_task(activity.watch())
    for _ in range(3):
        await asyncio.sleep(0.06)
        activity.mark_received()
    assert not watching.done()
    with pytest.raises(ProtocolError, match=r"expected a message within 0.1 s, got none") as refused:
        await watching
    assert refused.value.code == "idle_timeout"


async def test_the_time_of_a_stream_runs_whatever_comes() -> None:
    activity = ActivityLimits(0.1, 0.15)
    watching = asyncio.create_task(activity.watch())
    for _ in range(2):
        await asyncio.sleep(0.05)
        activity.mark_received()
    assert not watching.done()
    with pytest.raises(StreamTimeOverError):
        await watching


def test_streams_that_begin_together_do_not_end_together() -> None:
    times = [draw_stream_s(100.0) for _ in range(1000)]
    assert 75 <= min(times) < 80 < 95 < max(times) <= 100
    assert draw_stream_s(None) == math.inf


async def test_work_within_the_limits_gives_its_result_or_its_error() -> None:
    async def work(error: Exception | None = None) -> str:
        if error:
            raise error
        return "done"

    assert await ActivityLimits(30).within(work()) == "done"
    with pytest.raises(KeyError):
        await ActivityLimits(30).within(work(KeyError()))
    with pytest.raises(ProtocolError, match="expected a message within"):
        await ActivityLimits(0.01).within(asyncio.sleep(30))


async def test_a_backlog_is_full_beyond_its_limit_and_waits_until_there_is_room() -> None:
    slot: Any = SimpleNamespace(samples=8000)
    backlog = BacklogLimit(slot, 0.5, 16000)
    assert not backlog.is_full()
    slot.samples = 8001
    assert backlog.is_full()
    waiting, emptying = asyncio.create_task(backlog.wait_for_room()), asyncio.create_task(backlog.wait_until_empty())
    await asyncio.sleep(0)
    slot.samples = 8000
    backlog.mark_scored(0.0)
    await asyncio.wait_for(waiting, 1)
    assert not emptying.done()
    slot.samples = 0
    backlog.mark_scored(0.0)
    await asyncio.wait_for(emptying, 1)


async def test_audio_that_waits_too_long_for_its_scores_is_overload() -> None:
    slot: Any = SimpleNamespace(samples=801)
    backlog = BacklogLimit(slot, 0.05, 16000)
    for waiting in (backlog.wait_for_room(), backlog.wait_until_empty()):
        with pytest.raises(
            ProtocolError, match=r"expected to decide on audio within 0.05 s, it took longer"
        ) as refused:
            await waiting
        assert refused.value.code == "overloaded"
    assert backlog.mark_scored(0.05) is None
    assert (error := backlog.mark_scored(0.06)) is not None
    assert error.code == "overloaded"
