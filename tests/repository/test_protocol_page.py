"""The examples of docs/protocol.md work, and their figures are those of the bundled model."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.protocol_page import OVERLOADED, blocks, early_decisions, first_of_each_type, messages
from tests.support.server import Running, serving
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

VARIES = {"session_id": "", "queue_ms": 0, "compute_ms": 0, "server_ms": 0, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0}
ADDRESS = "127.0.0.1:8000"


def timeless(value: Any) -> Any:
    """The same without what depends on the time."""
    if isinstance(value, dict):
        return {key: VARIES.get(key, timeless(inner)) for key, inner in value.items()}
    return value


def rounded(value: Any) -> Any:
    """The same, equal to numbers that differ by the rounding of scores, which depends on how audio came together."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


SILENCE_S = 4.0  # until the socket of the page is open


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "x.flac"
    soundfile.write(file, synthesize("yes", "no", word_s=0.4), RATE)
    return file


def test_the_messages_are_those_of_the_bundled_model() -> None:
    """When this fails for a new model: python -m tests.support.protocol_page."""
    (block,) = (block for block in blocks("json") if '"type":"ready"' in block)
    assert [timeless(message) for message in first_of_each_type()] == [
        rounded(timeless(message)) for message in messages(block)
    ]
    assert messages(block)[-1] == OVERLOADED


def test_the_early_decisions_are_those_of_the_bundled_model() -> None:
    """When this fails for a new model: python -m tests.support.protocol_page."""
    (block,) = (block for block in blocks("json") if '"status":"early"' in block)
    assert [timeless(message) for message in early_decisions()] == [
        rounded(timeless(message)) for message in messages(block)
    ]
    assert [message["type"] for message in messages(block)] == ["detection", "confirmed", "detection", "retracted"]


def test_every_other_block_of_json_is_json() -> None:
    for block in blocks("json"):
        assert messages(block)


def command(name: str) -> str:
    """A program on the PATH or beside this Python; the test is skipped where there is none."""
    program = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"expected {name}")
    return program


def test_ffmpeg_and_websocat_send_a_recording(server: Running, recording: Path) -> None:
    (example,) = (block for block in blocks("sh") if "websocat" in block)
    example = example.replace(ADDRESS, server.address).replace("x.flac", str(recording))
    example = example.replace("ffmpeg", command("ffmpeg"), 1).replace("websocat -b", f"{command('websocat')} -b")
    done = subprocess.run(["bash", "-c", example], capture_output=True, text=True, timeout=60)
    events = messages(done.stdout)
    assert events[0]["type"] == "ready", done
    assert [event["label"] for event in events if event["type"] == "detection"] == ["yes", "no"]


def test_eight_lines_of_javascript_send_the_microphone(
    models_dir: Path, recording: Path, tmp_path: Path, browser_or_skip: Callable[[Path, Path], Any]
) -> None:
    (example,) = blocks("js")
    assert len(example.splitlines()) == 8
    samples, rate = soundfile.read(recording)
    late = tmp_path / "late.flac"
    soundfile.write(late, np.concatenate([np.zeros(round(SILENCE_S * rate)), samples]), rate)
    detected: list[str] = []
    with serving(models_dir, allowed_origins="*") as running, browser_or_skip(late, tmp_path) as browser:
        page = browser.new_page()
        page.route("http://localhost/", lambda route: route.fulfill(body="<title>x</title>", content_type="text/html"))
        page.goto("http://localhost/")
        page.on("console", lambda message: detected.append(message.text.split()[0]))
        page.evaluate(f"(async () => {{ {example.replace(ADDRESS, running.address)} }})()")
        for _ in range(200):
            if len(detected) == 2:
                break
            page.wait_for_timeout(100)
    assert detected == ["yes", "no"]


@pytest.fixture
def browser_or_skip() -> Callable[[Path, Path], Any]:
    """Opens a browser whose microphone plays a recording."""
    pytest.importorskip("playwright.sync_api", reason="expected playwright")
    from contextlib import contextmanager

    from playwright.sync_api import sync_playwright

    from tests.support.browser import executable, launch

    @contextmanager
    def opened(recording: Path, folder: Path) -> Any:
        with sync_playwright() as playwright:
            if executable(playwright) is None:
                pytest.skip("expected a Chromium")
            browser = launch(playwright, recording, folder)
            yield browser
            browser.close()

    return opened
