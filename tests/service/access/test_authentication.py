"""Which requests need a key and where it may be, against a real server."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from clients.connection import connect as client_connect
from service.access.paths import PAGE_ASSETS, PUBLIC_PATHS
from service.server.app import router
from service.server.rest.pages import router as pages_router
from tests.support.server import Running, serving
from tests.support.uploads import YES, upload

KEY, NEXT = "a-key-of-this-test-0123", "the-next-key-of-it-4567"
WRONG = "no-key-of-this-test-89"


@pytest.fixture(scope="module")
def secured(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir, api_keys=f"{KEY},{NEXT}", max_requests_per_s=1000) as running:
        yield running


def requests(running: Running) -> list[tuple[str, str]]:
    """Method and path of every route, and of some that do not exist."""
    paths = [
        (method, getattr(route, "path", "/").replace("{name}", "tones"))
        for route in [*running.app.routes, *router.routes, *pages_router.routes]
        for method in sorted(getattr(route, "methods", None) or ())
    ]
    heads = [("HEAD", path) for method, path in paths if method == "GET"]
    return [*paths, *heads, ("GET", "/nowhere"), ("GET", "/healthz/"), ("GET", "/v1/stream"), ("OPTIONS", "/v1/models")]


def credentials(key: str) -> dict[str, dict[str, Any]]:
    return {"header": {"headers": {"Authorization": f"Bearer {key}"}}, "query": {"params": {"token": key}}}


def test_every_route_by_credential(secured: Running) -> None:
    """Without a key, or with a wrong one in any place, only the probes and the assets of pages answer."""
    table = requests(secured)
    known = {("GET", path) for path in ("/", "/docs", "/openapi.json", "/metrics", "/v1/models", "/v1/models/tones")}
    assert known | {("POST", "/v1/classify")} <= set(table)
    bad = [{}, *credentials(WRONG).values(), credentials("")["query"], {"headers": {"Authorization": KEY}}]
    with httpx.Client(base_url=secured.http) as http:
        for method, path in table:
            for credential in bad:
                answer = http.request(method, path, **credential)
                needs_key = path not in PUBLIC_PATHS and not path.startswith(PAGE_ASSETS)
                assert (answer.status_code == 401) == needs_key, (method, path, credential)
                if needs_key:
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert method == "HEAD" or answer.json()["error"]["code"] == "unauthorized"
            for credential in [*credentials(KEY).values(), *credentials(NEXT).values()]:
                assert http.request(method, path, **credential).status_code != 401, (method, path, credential)


STREAM_CREDENTIALS: list[tuple[dict[str, Any], str]] = [
    ({"additional_headers": {"Authorization": "Bearer KEY"}}, ""),
    ({}, "?token=KEY"),
    ({}, "?t%6fken=KEY&speed=fast"),
    ({"subprotocols": ["bearer.KEY"]}, ""),
    ({"subprotocols": ["kws", "bearer.KEY"]}, ""),
]


def with_key(options: dict[str, Any], key: str) -> dict[str, Any]:
    filled: dict[str, Any] = json.loads(json.dumps(options).replace("KEY", key))
    return filled


@pytest.mark.parametrize(("options", "query"), STREAM_CREDENTIALS)
@pytest.mark.parametrize("key", [KEY, NEXT, WRONG])
async def test_a_stream_by_credential(secured: Running, options: dict[str, Any], query: str, key: str) -> None:
    options = with_key(options, key)
    opening = connect(secured.ws() + query.replace("KEY", key), compression=None, **options)
    if key == WRONG:
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert refused.value.response.status_code == 401
        return
    async with opening as socket:
        assert socket.subprotocol == options.get("subprotocols", [None])[0]
        await socket.send(json.dumps({"type": "configure", "speed": "fast"} if "&" not in query else {"type": "close"}))
        ready = json.loads(await socket.recv())
        assert (ready["config"]["speed"], ready["warnings"]) == ("fast", [])  # a key is not a setting


async def test_a_stream_without_a_key(secured: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(secured.ws(), compression=None)
    assert refused.value.response.body == b"unauthorized: expected an API key, got none"
    monkeypatch.setenv("RC_API_KEY", KEY)
    async with await client_connect(secured.ws()) as stream:
        assert stream.ready["type"] == "ready"


def test_without_keys_any_key_is_allowed(server: Running) -> None:
    for credential in credentials(WRONG).values():
        answer = httpx.post(f"{server.http}/v1/classify", files=upload(YES), **credential)
        assert (answer.status_code, "warnings" in answer.json()) == (200, False)


class LogCollector(logging.Handler):
    """Keeps the text of every record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def collected_logs() -> Iterator[list[str]]:
    collector, loggers = LogCollector(), [logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.access")]
    for logger in loggers:
        logger.addHandler(collector)
    try:
        yield collector.lines
    finally:
        for logger in loggers:
            logger.removeHandler(collector)


async def test_keys_are_in_no_log(secured: Running) -> None:
    """Everything at every level, of a server that gets keys in all places, also of pages that it refuses."""
    with collected_logs() as lines:
        for key in (KEY, WRONG):
            for credential in credentials(key).values():
                httpx.get(f"{secured.http}/v1/models", **credential)
            for options, query in STREAM_CREDENTIALS:
                for origin in (None, "https://evil.example"):
                    url, filled = secured.ws() + query.replace("KEY", key), with_key(options, key)
                    try:
                        async with connect(url, compression=None, origin=origin, **filled):  # type: ignore[arg-type]
                            pass
                    except InvalidStatus:
                        pass
        await asyncio.sleep(0.05)
    assert any("/v1/stream" in line for line in lines)
    from_client = ("HTTP Request", "> ")  # of httpx and websockets, in this process
    assert [line for line in lines if (KEY in line or WRONG in line) and not line.startswith(from_client)] == []
