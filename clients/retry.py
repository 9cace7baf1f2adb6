"""When to try again: the delay before the next try, and what a server's `Retry-After` says about it."""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP: the same request may succeed later
MAX_RETRY_AFTER_S = 3600.0  # a server that asks for more is tried again after this


@dataclass
class Backoff:
    """Delays that double from `first_s` to `longest_s` seconds until `reset`.

    Each is shifted by chance by up to `jitter`, so that clients that lost the same server do not return together.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        self._delay_s = self.first_s

    def next_s(self, retry_after_s: float | None = None) -> float:
        """Seconds to wait now: the next delay or part of it, or at least `retry_after_s` where the server named it."""
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, self.longest_s)
        chance = self.jitter * random.random()  # noqa: S311 - spreads load, guards nothing
        if retry_after_s is None:
            return delay_s * (1 - chance)
        return max(retry_after_s, self.first_s) + self.first_s * chance

    def reset(self) -> None:
        """Begin again with the first delay."""
        self._delay_s = self.first_s


def parse_retry_after(value: str, date: str | None = None) -> float | None:
    """Seconds that a `Retry-After` asks for, from 0 to MAX_RETRY_AFTER_S; None where it is neither seconds nor a date.

    `date`: the `Date` of the same response, so that a clock that is off on either side does not count.
    """
    try:
        seconds = float(value)
    except ValueError:
        until = _parse_date(value)
        if until is None:
            return None
        seconds = (until - (_parse_date(date or "") or datetime.now(UTC))).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
