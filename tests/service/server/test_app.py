"""HTTP against a real server."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.spotting.model import Model
from tests.support.server import Running, serving
from tests.support.speech import pcm, synthesize
from tests.support.tone_model import LABELS
from tests.support.uploads import YES, upload, wav
from tests.support.ws_client import facts, stream


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.http) as client:
        yield client


def test_a_file_and_a_stream_of_it_get_the_same(http: httpx.Client) -> None:
    answer = http.post("/v1/classify", files=upload(YES))
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "tones",
        "results": [
            {
                "file": "0.wav",
                "label": "yes",
                "score": pytest.approx(0.9654, abs=1e-3),
                "crossed": True,
                "frame": 27,
                "decision_time_s": 0.28,
                "duration_s": 0.9,
            }
        ],
    }


@pytest.mark.parametrize(
    ("words", "rate"), [(("yes",), 16000), (("no", "yes"), 48000), (("_unknown_",), 8000), ((), 16000)]
)
async def test_classify_is_stream(server: Running, words: tuple[str, ...], rate: int) -> None:
    data = pcm(synthesize(*words, rate=rate, gap_s=0.7))
    async with httpx.AsyncClient(base_url=server.http) as client:
        answer = await client.post("/v1/classify", files=upload(wav(np.frombuffer(data, "<i2"), rate)))
    streamed = await stream(server.ws(mode="utterance", sample_rate=rate), data, 777)
    assert [facts(event) for event in streamed.detections] == [facts(answer.json()["results"][0])]


async def test_classify_in_continuous_mode_has_every_detection_of_the_stream(server: Running) -> None:
    data = pcm(synthesize("yes", "no", "yes", gap_s=0.7))
    options = {"mode": "continuous", "keywords": "yes,no"}
    async with httpx.AsyncClient(base_url=server.http) as client:
        answer = await client.post("/v1/classify", files=upload(wav(np.frombuffer(data, "<i2"))), params=options)
    streamed = await stream(server.ws(), data, 777)
    detections = answer.json()["results"][0]["detections"]
    assert [facts(event) for event in detections] == [facts(event) for event in streamed.detections]
    assert [event["audio_time_s"] for event in detections] == [event["audio_time_s"] for event in streamed.detections]
    assert [event["label"] for event in detections] == ["yes", "no", "yes"]


def test_a_bad_file_does_not_affect_others(http: httpx.Client) -> None:
    noise = np.zeros(9600, np.float32)
    bad = [b"", b"hello " * 50, wav(noise, 96000), wav(np.zeros((160, 8)), 16000), YES[:-1000]]
    results = http.post("/v1/classify", files=upload(YES, *bad, YES)).json()["results"]
    assert [result["file"] for result in results] == [f"{i}.wav" for i in range(7)]
    assert results[0] == {**results[6], "file": "0.wav"}
    assert {result["error"]["code"] for result in results[1:6]} == {"bad_audio"}
    assert [result["error"]["message"].split(", got")[0] for result in results[1:6]] == [
        "expected audio",
        "expected WAV, AIFF, FLAC, OGG or MP3",
        "expected 8000 to 48000 Hz",
        "expected 1 or 2 channels",
        "expected 28800 bytes of samples as its header says",
    ]


@pytest.mark.parametrize("where", ["params", "data"])
def test_options_in_query_or_form(http: httpx.Client, where: str) -> None:
    options = {"model": "other", "threshold": json.dumps({"yes": 0.99}), "speed": "accurate", "trace": "true"}
    placed: dict[str, Any] = {where: {**options, "treshold": "1"}}
    answer = http.post("/v1/classify", files=upload(YES), **placed).json()
    (result,) = answer["results"]
    assert answer["model"] == "other"
    assert answer["warnings"] == [{"code": "unknown_key", "key": "treshold"}]
    assert list(result["trace"]) == list(LABELS)
    assert result["trace"]["yes"][result["frame"] - 1] < 0.99 <= result["trace"]["yes"][result["frame"]]


@pytest.mark.parametrize(
    ("options", "status", "code", "message"),
    [
        ({"model": "nonesuch"}, 404, "unknown_model", "model: expected among other, tones, got 'nonesuch'"),
        ({"speed": "warp"}, 400, "bad_value", "speed: expected among fast, balanced, accurate, got 'warp'"),
        ({"threshold": "2"}, 400, "bad_value", "threshold: expected a number above 0, at most 1, or an object of"),
        ({"mode": "endless"}, 400, "bad_value", "mode: expected continuous or utterance, got 'endless'"),
        ({"keywords": "maybe"}, 400, "bad_value", "keywords: expected among yes, no, got 'maybe'"),
        ({"trace": "maybe"}, 400, "bad_value", "trace: expected true or false, got 'maybe'"),
    ],
)
def test_wrong_options(http: httpx.Client, options: dict[str, str], status: int, code: str, message: str) -> None:
    answer = http.post("/v1/classify", files=upload(YES), params=options)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"].startswith(message)


def test_a_part_without_a_file_name_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/classify", files=upload(YES), data={"files": "YES"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "files: expected a file name with each, got a part without one"


def test_files_of_one_name_get_a_result_each(http: httpx.Client) -> None:
    files = [("files", ("a", YES)), ("files", ("a", b"")), ("files", ("a", YES))]
    first, bad, last = http.post("/v1/classify", files=files).json()["results"]
    assert first == last
    assert bad == {"file": "a", "error": {"code": "bad_audio", "message": "expected audio, got an empty file"}}


async def test_a_client_that_leaves_during_its_upload_is_not_an_error(server: Running) -> None:
    messages = [{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/v1/classify", "query_string": b"", "headers": headers}
    await server.app(scope, receive, send)  # and raises nothing
    assert not server.app.state.uploads.locked()


def test_uploads_are_limited(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(models_dir, max_upload_bytes=100_000, max_files=2, max_file_s=0.5, max_uploads=1) as running:
        url = f"{running.http}/v1/classify"
        assert httpx.post(url, files=upload(YES * 4)).status_code == 413
        chunks = (b"x" * 10_000 for _ in range(20))  # of unknown length
        assert httpx.post(
            url, content=chunks, headers={"Content-Type": "multipart/form-data; boundary=x"}
        ).is_client_error
        many = httpx.post(url, files=upload(YES, YES, YES))
        assert (many.status_code, many.json()["error"]["code"]) == (400, "bad_request")
        long = httpx.post(url, files=upload(YES)).json()["results"][0]["error"]["message"]
        assert long == "expected at most 0.5 s, got 0.9 s"
        running.app.state.uploads._value = 0
        busy = httpx.post(url, files=upload(YES))
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")


def test_an_upload_that_never_ends_is_ended(models_dir: Path) -> None:
    with serving(models_dir, upload_timeout_s=0.2, max_uploads=1) as running:
        host, port = running.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as slow:
            head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n"
            slow.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x")
            answer = b"".join(iter(lambda: slow.recv(4096), b""))  # to its end: the server closes
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"expected the whole request within 0.2 s" in answer
        assert httpx.post(f"{running.http}/v1/classify", files=upload(YES)).status_code == 200


def test_models(http: httpx.Client, model: Model) -> None:
    other, tones = http.get("/v1/models").json()["models"]
    assert other["name"] == "other"
    assert tones == {
        "name": "tones",
        "version": "1",
        "sha256": model.sha256,
        "labels": list(LABELS),
        "frame_ms": 10.0,
        "look_ahead_ms": 30.0,
        "keywords": ["yes", "no"],
        "speeds": model.metadata.speeds,
        "decide_within_ms": 600.0,
        "default": True,
    }
    assert http.get("/v1/models/tones").json() == {
        **tones,
        "evaluation": {"accuracy": 0.5},
        "curve": model.metadata.curve,
    }
    missing = http.get("/v1/models/nonesuch")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_model")


async def test_metrics_count_what_went_through(models_dir: Path) -> None:
    with serving(models_dir) as running:
        await stream(running.ws(), pcm(synthesize("yes", "no")))
        httpx.post(f"{running.http}/v1/classify", files=upload(YES, b""))
        text = httpx.get(f"{running.http}/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['kws_detections_total{label="yes"}'] == lines['kws_detections_total{label="no"}'] == "1.0"
    assert float(lines["kws_audio_seconds_total"]) == pytest.approx(1.6)
    assert (lines["kws_files_total"], lines['kws_errors_total{code="bad_audio"}']) == ("2.0", "1.0")
    assert lines["kws_streams"] == "0.0"
    counts = {
        lines[f"kws_{name}_count"] for name in ("queue_seconds", "server_seconds", "compute_seconds", "batch_streams")
    }
    assert len(counts) == 1
    assert float(counts.pop()) >= 1


def test_probes(server: Running, http: httpx.Client) -> None:
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").json() == {"ready": True}
    models = server.app.state.server.models
    served, models._served = models._served, {}
    try:
        assert (http.get("/readyz").status_code, http.get("/healthz").status_code) == (503, 200)
    finally:
        models._served = served


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/metrics", "/openapi.json", "/v1/models", "/web/page.js"])
def test_head_is_get_without_a_body(http: httpx.Client, path: str) -> None:
    get, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    if path != "/metrics":  # they change
        assert head.headers["Content-Length"] == str(len(get.content))


def test_head_where_there_is_no_get(http: httpx.Client) -> None:
    assert http.head("/v1/classify").status_code == http.get("/v1/classify").status_code == 405
    assert http.head("/v1/models/nonesuch").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/nowhere", 404, "not_found", "expected a path that /docs lists, got /nowhere"),
        ("GET", "/web/nothing.js", 404, "not_found", "expected a path that /docs lists, got /web/nothing.js"),
        ("GET", "/v1/classify", 405, "method_not_allowed", "expected POST, got GET"),
        ("DELETE", "/v1/models", 405, "method_not_allowed", "expected GET, got DELETE"),
    ],
)
def test_wrong_paths_and_methods(
    http: httpx.Client, method: str, path: str, status: int, code: str, message: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {"error": {"code": code, "message": message}}


def test_a_plain_request_for_the_stream_is_answered_426(http: httpx.Client) -> None:
    answer = http.get("/v1/stream")
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.json()["error"]["code"] == "upgrade_required"
    assert answer.json()["error"]["message"].startswith("expected a WebSocket handshake, got a plain request")


@pytest.mark.parametrize("path", ["/", "/v1/strem", "/v1/stream/", "/v1/models"])
async def test_a_wrong_websocket_path_is_answered_404(server: Running, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{server.address}{path}", compression=None)
    assert refused.value.response.status_code == 404
    assert (
        refused.value.response.body
        == f"not_found: expected the WebSocket /v1/stream or /v1/streams, got {path}".encode()
    )


@pytest.mark.parametrize("stripped", [True, False])
async def test_a_proxy_may_serve_it_under_a_path(models_dir: Path, stripped: bool) -> None:
    """The proxy's prefix is stripped from the path or not; without `--root-path` it must be."""
    with serving(models_dir, root_path="/kws", api_keys="a-key-of-this-test-0123") as running:
        prefix = "" if stripped else "/kws"
        key = "?token=a-key-of-this-test-0123"
        with httpx.Client(base_url=running.http + prefix) as http:
            assert http.get("/healthz").status_code == http.get("/web/page.js").status_code == 200
            assert http.get("/v1/models").status_code == 401
            redirect = http.get(f"/v1/models/{key}")
            assert (redirect.status_code, redirect.headers["Location"].partition("?")[0]) == (
                307,
                f"{running.http}/kws/v1/models",
            )
            assert http.get(f"/v1/models{key}").status_code == 200
            assert http.get(f"/openapi.json{key}").json()["servers"] == [{"url": "/kws"}]
        async with connect(f"ws://{running.address}{prefix}/v1/stream{key}&speed=fast", compression=None) as socket:
            assert json.loads(await socket.recv())["type"] == "ready"
