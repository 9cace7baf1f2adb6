"""Bodies of POST /v1/classify, against a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Running, serving
from tests.support.uploads import YES, upload

FORM = "body: expected multipart/form-data with a field files, or a single audio file as audio/*"


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.http) as client:
        yield client


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ({}, f"{FORM}, got no Content-Type"),
        ({"content": YES}, f"{FORM}, got no Content-Type"),
        ({"json": {"files": []}}, f"{FORM}, got application/json"),
        ({"data": {"files": "a.wav"}}, f"{FORM}, got application/x-www-form-urlencoded"),
        (
            {"files": [("file", ("a.wav", YES))]},
            "files: expected at least one file, got none, but other fields: file",
        ),
        (
            {"files": [("a", ("a.wav", YES)), ("a", ("b.wav", YES))], "data": {"speed": "fast"}},
            "files: expected at least one file, got none, but other fields: speed, a",
        ),
        (
            {"files": upload(YES), "data": {"files": "YES"}},
            "files: expected a file name with each, got a part without one",
        ),
    ],
)
def test_the_error_says_what_came(http: httpx.Client, request_body: dict[str, Any], message: str) -> None:
    answer = http.post("/v1/classify", **request_body)
    assert answer.status_code == 400
    assert answer.json()["error"] == {"code": "bad_value", "message": message}


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/x-wav; codecs=1", "AUDIO/WAV"])
def test_a_raw_audio_body_is_one_file(http: httpx.Client, media_type: str) -> None:
    headers = {"Content-Type": media_type, "Content-Disposition": 'attachment; filename="0.wav"'}
    raw = http.post("/v1/classify?speed=accurate&treshold=1", content=YES, headers=headers).json()
    assert raw == http.post("/v1/classify?speed=accurate&treshold=1", files=upload(YES)).json()
    assert raw["results"][0]["label"] == "yes"


@pytest.mark.parametrize("disposition", ["", "attachment", ",;filename*0*", "=;=;filename"])
def test_a_broken_content_disposition_is_not_a_name(http: httpx.Client, disposition: str) -> None:
    headers = {"Content-Type": "audio/wav", "Content-Disposition": disposition}
    (result,) = http.post("/v1/classify", content=YES, headers=headers).json()["results"]
    assert (result["file"], result["label"]) == ("", "yes")


def test_a_raw_body_without_a_name_or_without_audio(http: httpx.Client) -> None:
    (unnamed,) = http.post("/v1/classify", content=YES, headers={"Content-Type": "audio/wav"}).json()["results"]
    assert (unnamed["file"], unnamed["label"]) == ("", "yes")
    (empty,) = http.post("/v1/classify", content=b"", headers={"Content-Type": "audio/wav"}).json()["results"]
    assert empty["error"]["code"] == "bad_audio"


def test_a_raw_body_is_limited_too(models_dir: Path) -> None:
    with serving(models_dir, max_upload_bytes=10_000) as running:
        answer = httpx.post(f"{running.http}/v1/classify", content=YES, headers={"Content-Type": "audio/wav"})
    assert answer.status_code == 413


def test_options_may_be_in_the_query_and_in_the_form(http: httpx.Client) -> None:
    answer = http.post("/v1/classify?speed=warp", files=upload(YES), data={"speed": "fast", "trace": "true"}).json()
    assert "trace" in answer["results"][0]  # the form wins
