"""clients/pace.py on the real clock, in hundredths of a second."""

import asyncio

from clients.pace import Pace


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_live_pace_waits_until_the_audio_would_have_been_spoken() -> None:
    pace, start = Pace(), now()
    for end_s in (0.02, 0.04, 0.06):
        assert await pace.wait(end_s)
        assert now() - start >= end_s
    await asyncio.sleep(0.05)
    late = now()
    assert await pace.wait(0.08)  # due by now: deadlines are absolute, a late piece does not delay the next
    assert now() - late < 0.02


async def test_live_pace_does_not_run_ahead_when_the_server_is_quick() -> None:
    pace, start = Pace(), now()
    assert await pace.wait(0.01)
    pace.scored(0.01)
    assert await pace.wait(0.05)
    assert now() - start >= 0.05


async def test_full_pace_stops_a_window_ahead_of_the_scores() -> None:
    pace = Pace(window_s=1.0)
    assert await pace.wait(1.0)
    waiting = asyncio.create_task(pace.wait(1.4))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pace.scored(0.3)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pace.scored(0.4)
    assert await asyncio.wait_for(waiting, 0.2)


async def test_full_pace_goes_on_at_live_pace_when_the_server_reports_nothing() -> None:
    pace, start = Pace(window_s=0.05), now()
    assert await pace.wait(0.05)
    assert now() - start < 0.04
    assert await pace.wait(0.1)
    assert now() - start >= 0.1


async def test_stop_ends_the_waiting_at_once() -> None:
    pace = Pace()
    waiting = asyncio.create_task(pace.wait(60.0))
    await asyncio.sleep(0.01)
    pace.stop()
    assert await asyncio.wait_for(waiting, 0.2) is False


async def test_lag_counts_from_when_the_sample_was_spoken() -> None:
    pace = Pace()
    await pace.wait(0.05)
    assert 30 <= pace.lag_ms(0.02) < 130


async def test_a_start_in_the_past_is_caught_up() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    pace = Pace(start=began - 1)
    for end_s in (0.5, 1.0, 1.1):
        await pace.wait(end_s)
    assert 0.09 < loop.time() - began < 0.6
    assert pace.lag_ms(1.1) < 500
