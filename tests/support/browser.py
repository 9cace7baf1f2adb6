"""A headless Chromium with a fake microphone. `python -m tests.support.browser` takes the picture of the page."""

import json
import shutil
import tempfile
from pathlib import Path

import soundfile
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from clients.demo.__main__ import MODEL, MODELS, RECORDING, SCRIPT
from service.testing import HOST, free_port, rc_serve, serving
from tests.support.paths import ROOT

WORDS = [line["word"] for line in json.loads(SCRIPT.read_text()) if line["keyword"]]
QUIET = [
    "--no-sandbox",  # it may run as root
    "--disable-background-networking",
    "--disable-features=LocalNetworkAccessChecks",  # a page whose headers a test has changed has no known address
]
TIMEOUT_MS = 60_000  # for the recording, at live pace, on a busy machine


def executable(playwright: Playwright) -> str | None:
    """The system's Chromium, or the one that `playwright install chromium` installed; None without either."""
    installed = playwright.chromium.executable_path
    return shutil.which("chromium") or (installed if Path(installed).exists() else None)


def launch(playwright: Playwright, recording: Path, folder: Path, *arguments: str, allow: bool = True) -> Browser:
    """A browser whose microphone plays `recording` once from each time it is opened; `folder` takes a copy as WAV."""
    wav = folder / f"{recording.stem}.wav"
    soundfile.write(wav, *soundfile.read(recording, dtype="int16"))
    fake = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}%noloop",
        f"--use-fake-ui-for-media-stream{'' if allow else '=deny'}",
    ]
    return playwright.chromium.launch(executable_path=executable(playwright), args=[*QUIET, *fake, *arguments])


def wait_for_last_word(page: Page) -> None:
    """Wait until the page shows the last word of the demo's recording."""
    expect(page.locator("#detections tbody th", has_text=WORDS[-1]).first).to_be_visible(timeout=TIMEOUT_MS)


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = launch(playwright, RECORDING, Path(folder))
        page = browser.new_page(viewport={"width": 1120, "height": 750})
        with serving(port := free_port(), rc_serve(port, MODELS, MODEL)):
            page.goto(f"http://{HOST}:{port}/")
            page.get_by_role("button", name="Listen").click()
            wait_for_last_word(page)
            page.wait_for_timeout(600)  # the score has fallen again
            page.screenshot(path=ROOT / "docs" / "images" / "page.png")
        browser.close()


if __name__ == "__main__":
    main()
