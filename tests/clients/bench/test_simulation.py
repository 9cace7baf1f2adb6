"""clients/bench/simulation.py: what must come of a fleet whatever the figures are."""

import math

import numpy as np

from clients.bench.simulation import Churn, Fleet, Policy, Traffic, rebalance_s
from clients.bench.sizing import Measured

MEASURED = Measured("a machine", 100, 2.0, 100.0, 50.0, 2.0, 2.5, 80)  # 70 streams a server
QUIET = Churn(failures_per_day=0, deploys=())
STEADY = Traffic(1000, 3600.0, night=1.0)


def test_streams_are_counted_at_their_servers() -> None:
    fleet = Fleet(MEASURED, STEADY, Policy(max_stream_s=60.0), Churn(failures_per_day=500, deploys=(0.05,)))
    for _ in range(600):
        fleet.step()
        placed = fleet.server[fleet.server >= 0]
        assert np.bincount(placed, minlength=len(fleet.counts)).tolist() == fleet.counts.tolist()
    assert fleet.result.broken > 1000
    assert fleet.counts.max() <= MEASURED.max_streams


def test_a_quiet_fleet_breaks_and_loses_nothing() -> None:
    result = Fleet(MEASURED, STEADY, Policy(max_stream_s=None), QUIET).run(900)
    assert (result.broken, result.refused, result.lost, result.overloaded) == (0, 0, 0, 0)
    assert 0.9 < result.stream_hours / 250 < 1.1
    assert 4.9 < result.server_hours < 6  # 20 servers for a quarter of an hour, or one more


def test_every_stream_moves_within_the_time_that_it_may_be_open() -> None:
    traffic = Traffic(1000, math.inf, night=1.0)
    result = Fleet(MEASURED, traffic, Policy(max_stream_s=100.0), QUIET).run(1000)
    assert 9 < result.broken / 1000 < 13.4  # 75 to 100 s each


def test_servers_are_added_at_once_and_taken_away_slowly() -> None:
    fleet = Fleet(MEASURED, STEADY, Policy(), QUIET)
    before = len(fleet.counts)
    fleet.open(500)
    fleet.run(60)
    assert len(fleet.counts) >= 1.4 * before
    fleet.traffic = Traffic(100, 3600.0, night=1.0)
    fleet.ends_at[:1400] = fleet.now
    most = len(fleet.counts)
    fleet.run(1700)
    assert len(fleet.counts) == most
    fleet.run(1800)
    assert most - 12 <= len(fleet.counts) < most


def test_too_few_servers_refuse_and_a_client_that_waits_for_long_loses_audio() -> None:
    churn = Churn(start_s=60.0, failures_per_day=0, deploys=(), zone_fails_at=1 / 60)
    result = Fleet(MEASURED, STEADY, Policy(target=1.0), churn).run(300)
    assert result.refused > 0
    assert 0 < result.lost < 500
    assert result.lost_s > 0
    roomy = Fleet(MEASURED, STEADY, Policy(target=0.5), churn).run(300)
    assert (roomy.refused, roomy.lost) == (0, 0)


def test_a_server_that_falls_behind_ends_its_streams() -> None:
    slow = Measured("a machine", 100, 2.0, 100.0, 50.0, 2.0, 25.0, 80)  # 1.25 s of work a second
    assert Fleet(slow, STEADY, Policy(), QUIET).run(60).overloaded > 0


def test_moving_streams_fills_added_servers_sooner() -> None:
    times = [rebalance_s(MEASURED, math.inf, limit, 7200) for limit in (None, 3600.0, 900.0)]
    assert times[0] is None
    assert times[1] is not None
    assert times[2] is not None
    assert 2 * times[2] < times[1] < 1500
