"""clients/retry.py: delays, and both forms of Retry-After."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from clients.retry import MAX_RETRY_AFTER_S, Backoff, parse_retry_after

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def test_delays_double_up_to_the_longest_and_begin_again() -> None:
    backoff = Backoff(first_s=1, longest_s=5, jitter=0)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next_s() == 1


def test_chance_spreads_a_delay_between_half_and_all_of_it() -> None:
    delays = [Backoff(first_s=1, jitter=0.5).next_s() for _ in range(200)]
    assert 0.5 <= min(delays) < 0.6
    assert 0.9 < max(delays) <= 1.0


def test_what_the_server_asks_for_is_never_cut_short() -> None:
    delays = [Backoff(first_s=1, jitter=0.5).next_s(retry_after_s=8) for _ in range(200)]
    assert 8 <= min(delays) < 8.1
    assert 8.4 < max(delays) <= 8.5


def test_no_wait_at_all_still_waits_for_the_first_delay() -> None:
    assert Backoff(first_s=1, jitter=0).next_s(retry_after_s=0) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("-3", 0),
        (" 1.5 ", 1.5),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-15 07:29:00 GMT", 60),
        ("Wed Oct 21 07:28:10 2015", 10),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        ("99999999999999999999", MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
    ],
)
def test_seconds_and_dates_are_read(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, DATE) == seconds


def test_without_a_date_of_the_answer_the_clock_counts() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    begin = time.monotonic()
    seconds = parse_retry_after(until, "no date")
    assert seconds is not None
    assert 98 - (time.monotonic() - begin) <= seconds <= 100
