"""Web pages of other origins, against a real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.server import Running, serving
from tests.support.uploads import YES, upload

FRIEND = "https://friend.example"
KEY = "a-key-of-this-test-0123"
ORIGINS = [(None, True), ("own", True), (FRIEND, True), ("https://evil.example", False), ("null", False)]


@pytest.fixture(scope="module")
def running(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir, allowed_origins=f"{FRIEND}, https://other.example", api_keys=KEY) as running:
        yield running


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS)
async def test_pages_of_other_origins_are_refused(running: Running, origin: str | None, allowed: bool) -> None:
    origin = running.http if origin == "own" else origin
    headers = {"Origin": origin} if origin else {}
    answer = httpx.get(f"{running.http}/v1/models?token={KEY}", headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    opening = connect(running.ws(token=KEY), compression=None, origin=origin)  # type: ignore[arg-type]
    if allowed:
        async with opening:
            return
    with pytest.raises(InvalidStatus, match="403"):
        await opening


def test_an_allowed_page_can_read_the_answers_and_no_other(running: Running) -> None:
    for path, status in (("/v1/models", 401), (f"/v1/models?token={KEY}", 200), ("/nowhere", 401), ("/healthz", 200)):
        answer = httpx.get(running.http + path, headers={"Origin": FRIEND})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, FRIEND)
        assert "Origin" in answer.headers["Vary"]
        refused = httpx.get(running.http + path, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in refused.headers
    answer = httpx.post(
        f"{running.http}/v1/classify",
        files=upload(YES),
        headers={"Origin": FRIEND, "Authorization": f"Bearer {KEY}"},
    )
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, FRIEND)


def preflight(running: Running, origin: str, method: str = "POST") -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return httpx.options(f"{running.http}/v1/classify", headers=headers)


def test_a_preflight_needs_no_key(running: Running) -> None:
    answer = preflight(running, FRIEND)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert {"GET", "POST"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    refused = preflight(running, "https://evil.example")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden_origin")
    assert "'https://evil.example'" in refused.json()["error"]["message"]
    assert preflight(running, FRIEND, "DELETE").status_code == 400


def test_any_origin(models_dir: Path) -> None:
    with serving(models_dir, allowed_origins="*") as running:
        answer = httpx.get(f"{running.http}/v1/models", headers={"Origin": "null"})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert preflight(running, "https://any.example").headers["Access-Control-Allow-Origin"] == "*"
