"""/docs in a headless Chromium: no other host, with keys, under the path of a proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import serving
from tests.support.uploads import YES

pytest.importorskip("playwright.sync_api", reason="the page of the HTTP interface: expected playwright")

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.support.browser import executable

KEY = "a-key-of-this-test-0123"
expect.set_options(timeout=20_000)  # on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        if executable(playwright) is None:
            pytest.skip("the page of the HTTP interface: expected a Chromium")
        browser = playwright.chromium.launch(executable_path=executable(playwright), args=["--no-sandbox"])
        yield browser
        browser.close()


def classify(page: Page) -> str:
    """The answer to a file in "Try it out", with everything else as the page suggests it."""
    operation = page.locator("#operations-default-classify")
    operation.locator(".opblock-summary-control").click()
    operation.locator("input[type=file]").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": YES})
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response-col_description .microlight")
    expect(answer.first).to_be_visible()
    return answer.first.inner_text()


def strip_prefix(route: Route) -> None:
    """As a proxy does that serves this server under /kws."""
    route.continue_(url=route.request.url.replace("/kws/", "/"))


@pytest.mark.parametrize(("prefix", "root_path"), [("", ""), ("/kws", "/kws"), ("/kws", "")])
def test_try_it_out_classifies_a_file_with_a_key(
    models_dir: Path, browser: Browser, prefix: str, root_path: str
) -> None:
    page, problems, hosts = browser.new_page(), [], set()
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    if not root_path:
        page.route("**/kws/**", strip_prefix)
    with serving(models_dir, api_keys=KEY, root_path=root_path) as running:
        page.goto(f"{running.http}{prefix}/docs?token={KEY}")
        expect(page.locator(".opblock")).to_have_count(6)
        expect(page.get_by_role("button", name="Authorize")).to_be_visible()
        assert '"label": "yes"' in classify(page)
        assert page.locator("select:has(option[value=tones])").first.input_value() == "tones"
        assert problems == []
        assert hosts == {running.address}
    page.close()


def test_without_the_key_in_the_address_the_page_is_denied(models_dir: Path, browser: Browser) -> None:
    with serving(models_dir, api_keys=KEY) as running:
        page = browser.new_page()
        answer = page.goto(f"{running.http}/docs")
        assert answer
        assert answer.status == 401
        page.close()
