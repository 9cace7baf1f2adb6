import io
import json
import logging
import logging.config
import os
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from service.telemetry.logs import log_config, log_event, stderr_as_log
from tests.support.server import serving
from tests.support.server_process import command
from tests.support.speech import pcm, synthesize
from tests.support.ws_client import client


@pytest.mark.parametrize(
    ("kind", "begin"),
    [("text", "20"), ("json", '{"time": "20')],
)
def test_lines_have_their_fields(kind: str, begin: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(log_config(kind))
    log_event("no luck", logging.ERROR, session="1f", code=1011, nothing=None, evil="a\nINFO: b")
    (line,) = capsys.readouterr().err.splitlines()  # a client cannot make a line of its own
    assert line.startswith(begin)
    if kind == "json":
        fields = json.loads(line)
        assert fields.pop("time")
        assert fields == {
            "level": "error",
            "logger": "service",
            "message": "no luck",
            "session": "1f",
            "code": 1011,
            "evil": "a\nINFO: b",
        }
    else:
        pattern = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 ERROR:    no luck (.*)"
        fields = re.fullmatch(pattern, line)
        assert fields
        assert fields[1] == 'session="1f" code=1011 evil="a\\nINFO: b"'


def test_an_error_has_its_traceback_in_the_same_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(log_config("json"))
    try:
        raise ValueError("deep down")
    except ValueError as error:
        log_event("it failed", logging.ERROR, error)
    (line,) = capsys.readouterr().err.splitlines()
    assert "deep down" in json.loads(line)["exception"]


async def test_a_stream_is_logged_with_its_session(models_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(models_dir, log="json") as running:
        async with client(running.ws(mode="utterance", speed="fast")) as finished:
            await finished.send(pcm(synthesize("yes")), 1280)
            await finished.ask("close")
            await finished.closed()
        async with client(running.ws(speed="warp")) as wrong:
            await wrong.closed()
        async with client(running.ws()) as gone:
            await gone.ask("keepalive")
            await gone.until("ready")
            gone.socket.transport.abort()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    events = [line for line in lines if line["logger"] == "service"]
    session = finished.received[0]["session_id"]
    begun, ended = [line for line in events if line["session"] == session]
    assert {**begun, "time": 0} == {
        "time": 0,
        "level": "info",
        "logger": "service",
        "message": "stream begun",
        "session": session,
        "client": "127.0.0.1",
        "model": "tones",
        "mode": "utterance",
    }
    assert (ended["message"], ended["code"], ended["audio_s"], ended["detections"]) == ("stream ended", 1000, 0.9, 1)
    codes = {line["code"]: line.get("error") for line in events if line["message"] == "stream ended"}
    assert codes == {1000: None, 1008: "bad_value", 1006: None}
    assert not any("[accepted]" in line["message"] for line in lines)


def broken_mp3s(count: int) -> list[tuple[str, tuple[str, bytes]]]:
    """An upload of files about which libmpg123 writes to stderr itself."""
    file, rng = io.BytesIO(), np.random.default_rng(0)
    soundfile.write(file, synthesize("yes"), 16000, format="MP3")
    contents = [bytearray(file.getvalue()) for _ in range(count)]
    for content in contents:
        for at in rng.integers(200, len(content) - 20, 5):
            content[at : at + 20] = rng.bytes(20)
    return [("files", (f"{number}.mp3", bytes(content))) for number, content in enumerate(contents)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_lines_of_c_libraries_are_lines_of_json_too(models_dir: Path, tmp_path: Path, workers: str) -> None:
    log = tmp_path / "log"
    with command(models_dir, "--log", "json", "--workers", workers, log=log) as (_, address):
        httpx.post(f"http://{address}/v1/classify", files=broken_mp3s(20))
        malformed = {"Content-Type": "multipart/form-data; boundary=x"}
        assert httpx.post(f"http://{address}/v1/classify", content=b"garbage", headers=malformed).status_code == 400
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    written = [line for line in lines if line["logger"] == "stderr"]
    assert any("mpg123" in line["message"] for line in written)
    assert {line["level"] for line in written} == {"warning"}
    assert any(line["message"].startswith("Finished server process") for line in lines)  # the last ones are there too


def test_lines_of_other_libraries_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(log_config("json"))
    try:
        logging.getLogger("another").warning("attention")
        logging.getLogger("another").info("nothing")
    finally:
        logging.getLogger().handlers.clear()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line) | {"time": 0} == {
        "time": 0,
        "level": "warning",
        "logger": "another",
        "message": "attention",
    }


def test_stderr_is_as_before_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    logging.config.dictConfig(log_config("json"))
    with stderr_as_log():
        logging.config.dictConfig(log_config("json"))
        os.write(2, b"a line of a library\n\n\xff\n")
        os.write(2, b'{"time": "of a worker"}\n')
    os.write(2, b"plain\n")
    first, second, third, last = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in (first, second)] == ["a line of a library", "\ufffd"]
    assert json.loads(third) == {"time": "of a worker"}
    assert last == "plain"
