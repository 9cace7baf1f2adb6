"""How often each client may ask: a token bucket for each. Reads no clock."""

from collections import OrderedDict

MOST = 10_000  # clients remembered; those heard of longest ago are forgotten first


class TokenBuckets:
    """`per_s` requests a second on average, a second's worth of them at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._full = per_s, max(1.0, per_s)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> what is left, and when

    def allow(self, client: str, now: float) -> bool:
        """Whether this client may ask once more at `now`, in seconds."""
        left, at = self._buckets.pop(client, (self._full, now))
        left = min(self._full, left + (now - at) * self._per_s)
        allowed = left >= 1
        self._buckets[client] = (left - allowed, now)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return allowed
