from pathlib import Path

import httpx

from service.access.rate_limit import MAX_CLIENTS, TokenBuckets
from tests.support.server import serving

KEY, NEXT, WRONG = "a-key-of-this-test-0123", "the-next-key-of-it-4567", "no-key-of-this-test-89"


def test_a_burst_of_one_second_then_the_rate() -> None:
    buckets = TokenBuckets(10)
    assert [buckets.allow("a", 5.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [buckets.allow("a", 5.25) for _ in range(3)] == [True, True, False]
    assert [buckets.allow("a", 99.0) for _ in range(11)] == [True] * 10 + [False]


def test_less_than_one_per_second() -> None:
    buckets = TokenBuckets(0.5)
    assert [buckets.allow("a", now) for now in (0, 1, 2, 3, 4)] == [True, False, True, False, True]


def test_clients_do_not_share() -> None:
    buckets = TokenBuckets(1)
    assert [buckets.allow(client, 0) for client in "aabb"] == [True, False, True, False]


def test_the_number_of_clients_remembered_is_bounded() -> None:
    buckets = TokenBuckets(1)
    for number in range(MAX_CLIENTS + 10):
        buckets.allow(str(number), 0)
    assert len(buckets._buckets) == MAX_CLIENTS
    assert [buckets.allow(str(MAX_CLIENTS), 0), buckets.allow("0", 0)] == [False, True]  # the oldest was forgotten


def test_too_many_requests(models_dir: Path) -> None:
    with serving(models_dir, api_keys=f"{KEY},{NEXT}", max_requests_per_s=0.05) as running:

        def ask(path: str, key: str) -> int:
            return httpx.get(running.http + path, headers={"Authorization": f"Bearer {key}"}).status_code

        assert [ask("/v1/models", KEY) for _ in range(3)] == [200, 429, 429]
        assert [ask("/v1/models", WRONG) for _ in range(3)] == [401, 429, 429]  # guessing is slow too
        assert {ask("/readyz", WRONG) for _ in range(10)} == {200}
        answer = httpx.get(f"{running.http}/metrics", params={"token": NEXT})  # another key has its own rate
        assert 'kws_rejected_total{reason="unauthorized"} 1.0' in answer.text
        assert 'kws_rejected_total{reason="too_many_requests"} 4.0' in answer.text
        refused = httpx.get(f"{running.http}/metrics", params={"token": NEXT})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
