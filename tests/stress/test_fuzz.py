"""A little of tests/stress/fuzz.py in every run of the suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stress.fuzz import fuzz_files, fuzz_requests, fuzz_sessions, watched
from tests.stress.shared_sessions import fuzz_shared_sessions
from tests.support.server import serving


@pytest.fixture(scope="module")
def address(models_dir: Path) -> Iterator[str]:
    with serving(models_dir, max_requests_per_s=100_000, idle_timeout_s=5) as running:
        yield running.address


def test_sessions_and_files_of_all_kinds_and_a_healthy_stream(address: str) -> None:
    with watched(address) as healthy:
        ends = fuzz_sessions(address, 40)
        shared = fuzz_shared_sessions(address, 40)
        answers = fuzz_files(address, 100, seed=1)
    assert ends.total() >= 40
    assert shared.total() >= 40
    assert answers.total() == 100
    assert answers["error"] > 0
    assert healthy.detected > 0


def test_no_request_of_the_openapi_is_answered_with_5xx(address: str) -> None:
    fuzz_requests(address, 3)
