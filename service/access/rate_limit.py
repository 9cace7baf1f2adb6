"""How many HTTP requests each client may send: a token bucket per API key, or per address without one."""

from collections import OrderedDict
from time import monotonic

from starlette.types import ASGIApp, Scope

from service.access.authentication import IDENTITY
from service.access.denial import AccessCheck, AccessDenied
from service.access.paths import PUBLIC_PATHS, route_path
from service.telemetry.metrics import Metrics

MAX_CLIENTS = 10_000  # clients remembered; those not seen for longest are forgotten first


class TokenBuckets:
    """`per_s` requests per second on average, in bursts of up to one second. Reads no clock."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._capacity = per_s, max(1.0, per_s)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens left, at which time

    def allow(self, client: str, now: float) -> bool:
        """Whether this client may send one more request at `now`, in seconds."""
        tokens, at = self._buckets.pop(client, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - at) * self._per_s)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed


class RateLimitMiddleware(AccessCheck):
    """Refuses a client's HTTP requests beyond the rate; in front of authorization, so that guessing keys is slow."""

    def __init__(self, app: ASGIApp, metrics: Metrics, per_s: float) -> None:
        super().__init__(app, metrics)
        self._buckets = TokenBuckets(per_s)

    def authorize(self, scope: Scope) -> None:
        if scope["type"] != "http" or route_path(scope) in PUBLIC_PATHS:
            return
        client = scope[IDENTITY].key or (scope.get("client") or ("",))[0]
        if not self._buckets.allow(client, monotonic()):
            raise AccessDenied(429, "too_many_requests", "expected fewer requests per second", {"Retry-After": "1"})
