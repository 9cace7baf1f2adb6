"""Who gets in, against a real server."""

import asyncio
import json
import logging
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from clients.connection import connect as client_connect
from service.access.doors import OPEN, PARTS
from service.server.app import router
from tests.support.server import Running, serving
from tests.support.speech import pcm, say
from tests.support.uploads import YES, upload

KEY, NEXT = "a-key-of-this-test-0123", "the-next-key-of-it-4567"
WRONG = "no-key-of-this-test-89"


@pytest.fixture(scope="module")
def locked(models_dir: Path) -> Iterator[Running]:
    with serving(models_dir, api_keys=f"{KEY},{NEXT}", max_requests_per_s=1000) as running:
        yield running


def requests(running: Running) -> list[tuple[str, str]]:
    """Method and path of every route, and of one that is none."""
    paths = [
        (method, getattr(route, "path", "/").replace("{name}", "tones"))
        for route in [*running.app.routes, *router.routes]
        for method in sorted(getattr(route, "methods", ()))
    ]
    return [*paths, ("GET", "/nowhere"), ("GET", "/healthz/"), ("GET", "/v1/stream")]


def credentials(key: str) -> dict[str, dict[str, Any]]:
    return {"header": {"headers": {"Authorization": f"Bearer {key}"}}, "query": {"params": {"token": key}}}


def test_every_route_by_credential(locked: Running) -> None:
    """The table: without a key, or with a wrong one in any place, only the probes and the page's parts answer."""
    table = requests(locked)
    known = {("GET", path) for path in ("/", "/docs", "/openapi.json", "/metrics", "/v1/models", "/v1/models/tones")}
    assert known | {("POST", "/v1/classify")} <= set(table)
    bad = [{}, *credentials(WRONG).values(), credentials("")["query"], {"headers": {"Authorization": KEY}}]
    with httpx.Client(base_url=locked.http) as http:
        for method, path in table:
            for credential in bad:
                answer = http.request(method, path, **credential)
                locked_path = path not in OPEN and not path.startswith(PARTS)
                assert (answer.status_code == 401) == locked_path, (method, path, credential)
                if locked_path:
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert method == "HEAD" or answer.json()["error"]["code"] == "unauthorized"
            for credential in [*credentials(KEY).values(), *credentials(NEXT).values()]:
                assert http.request(method, path, **credential).status_code != 401, (method, path, credential)


STREAM_CREDENTIALS = [
    ({"additional_headers": {"Authorization": "Bearer KEY"}}, ""),
    ({}, "?token=KEY"),
    ({}, "?t%6fken=KEY&speed=fast"),
    ({"subprotocols": ["bearer.KEY"]}, ""),
    ({"subprotocols": ["kws", "bearer.KEY"]}, ""),
]


@pytest.mark.parametrize(("how", "query"), STREAM_CREDENTIALS)
@pytest.mark.parametrize("key", [KEY, NEXT, WRONG])
async def test_a_stream_by_credential(locked: Running, how: dict[str, Any], query: str, key: str) -> None:
    how = json.loads(json.dumps(how).replace("KEY", key))
    opening = connect(locked.ws() + query.replace("KEY", key), compression=None, **how)
    if key == WRONG:
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert refused.value.response.status_code == 401
        return
    async with opening as socket:
        assert socket.subprotocol == how.get("subprotocols", [None])[0]
        await socket.send(json.dumps({"type": "configure", "speed": "fast"} if "&" not in query else {"type": "close"}))
        ready = json.loads(await socket.recv())
        assert (ready["config"]["speed"], ready["warnings"]) == ("fast", [])  # a key is no setting


async def test_a_stream_without_a_key(locked: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(locked.ws(), compression=None)
    assert refused.value.response.body == b"unauthorized: expected an API key, got none"
    monkeypatch.setenv("RC_API_KEY", KEY)
    async with await client_connect(locked.ws()) as stream:
        assert stream.ready["type"] == "ready"


def test_without_keys_all_may_come_with_any(server: Running) -> None:
    for credential in credentials(WRONG).values():
        answer = httpx.post(f"{server.http}/v1/classify", files=upload(YES), **credential)
        assert (answer.status_code, "warnings" in answer.json()) == (200, False)


async def test_keys_are_in_no_log(locked: Running) -> None:
    """Everything at every level, of a server that is asked in all ways."""
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    ear = Ear()
    for name in ("", "uvicorn", "uvicorn.access"):
        logging.getLogger(name).addHandler(ear)
    try:
        for key in (KEY, WRONG):
            for credential in credentials(key).values():
                httpx.get(f"{locked.http}/v1/models", **credential)
            for how, query in STREAM_CREDENTIALS:
                how = json.loads(json.dumps(how).replace("KEY", key))
                try:
                    async with connect(locked.ws() + query.replace("KEY", key), compression=None, **how):
                        pass
                except InvalidStatus:
                    pass
        await asyncio.sleep(0.05)
    finally:
        for name in ("", "uvicorn", "uvicorn.access"):
            logging.getLogger(name).removeHandler(ear)
    assert any("/v1/stream" in line for line in told)  # something was heard
    assert [
        line for line in told if (KEY in line or WRONG in line) and not line.startswith(("HTTP Request", "> "))
    ] == []


ORIGINS = [
    (None, True),
    ("home", True),
    ("https://friend.example", True),
    ("https://evil.example", False),
    ("null", False),
]


@pytest.mark.parametrize(("origin", "welcome"), ORIGINS)
async def test_pages_of_other_origins_are_refused(models_dir: Path, origin: str | None, welcome: bool) -> None:
    with serving(models_dir, allowed_origins="https://friend.example, https://other.example") as running:
        origin = running.http if origin == "home" else origin
        headers = {"Origin": origin} if origin else {}
        answer = httpx.get(f"{running.http}/v1/models", headers=headers)
        assert answer.status_code == (200 if welcome else 403)
        try:
            async with connect(running.ws(), compression=None, origin=origin):  # type: ignore[arg-type]
                assert welcome
        except InvalidStatus as refused:
            assert (refused.response.status_code, welcome) == (403, False)


def test_any_origin(models_dir: Path) -> None:
    with serving(models_dir, allowed_origins="*") as running:
        assert httpx.get(f"{running.http}/v1/models", headers={"Origin": "null"}).status_code == 200


def test_too_many_requests(models_dir: Path) -> None:
    with serving(models_dir, api_keys=f"{KEY},{NEXT}", max_requests_per_s=0.05) as running:

        def ask(path: str, key: str) -> int:
            return httpx.get(running.http + path, headers={"Authorization": f"Bearer {key}"}).status_code

        assert [ask("/v1/models", KEY) for _ in range(3)] == [200, 429, 429]
        assert [ask("/v1/models", WRONG) for _ in range(3)] == [401, 429, 429]  # guessing is slow too
        assert {ask("/readyz", WRONG) for _ in range(10)} == {200}
        answer = httpx.get(f"{running.http}/metrics", params={"token": NEXT})  # another key, another's own rate
        assert 'kws_rejected_total{reason="unauthorized"} 1.0' in answer.text
        assert 'kws_rejected_total{reason="too_many_requests"} 4.0' in answer.text
        refused = httpx.get(f"{running.http}/metrics", params={"token": NEXT})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")


def test_what_a_browser_is_told(server: Running) -> None:
    with httpx.Client(base_url=server.http) as http:
        for path in ("/", "/docs", "/v1/models", "/healthz", "/nowhere"):
            headers = http.get(path).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"  # the address may have had a key
            assert headers["X-Frame-Options"] == "DENY"
        policy = http.get("/").headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "http" not in policy  # no other host
        assert "cdn.jsdelivr.net" in http.get("/docs").headers["Content-Security-Policy"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
async def test_tls(models_dir: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=str(cert))
    with serving(models_dir, tls_cert=cert, tls_key=key) as running:
        assert httpx.get(f"https://{running.address}/readyz", verify=trusting).status_code == 200
        async with connect(f"wss://{running.address}/v1/stream?speed=fast", ssl=trusting) as socket:
            await socket.send(pcm(say("yes")))
            await socket.send('{"type":"close"}')
            kinds = [json.loads(message)["type"] async for message in socket]
        assert kinds == ["ready", "detection", "summary"]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{running.http}/readyz")
