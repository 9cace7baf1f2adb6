from service.access.rate_limit import MOST, TokenBuckets


def test_a_seconds_worth_at_once_then_the_rate() -> None:
    rate = TokenBuckets(10)
    assert [rate.allow("a", 5.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [rate.allow("a", 5.25) for _ in range(3)] == [True, True, False]
    assert [rate.allow("a", 99.0) for _ in range(11)] == [True] * 10 + [False]


def test_less_than_one_a_second() -> None:
    rate = TokenBuckets(0.5)
    assert [rate.allow("a", now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_clients_do_not_share() -> None:
    rate = TokenBuckets(1)
    assert [rate.allow(who, 0) for who in "aabb"] == [True, False, True, False]


def test_no_more_clients_are_remembered_than_that() -> None:
    rate = TokenBuckets(1)
    for number in range(MOST + 10):
        rate.allow(str(number), 0)
    assert len(rate._buckets) == MOST
    assert [rate.allow(str(MOST), 0), rate.allow("0", 0)] == [False, True]  # the last is known, the first forgotten
