"""service/web in a headless Chromium with a fake microphone, under a Content-Security-Policy that allows no more than
it needs."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from service.server.pages import PAGE_FILES as WEB
from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from tests.support.server import Running, serving
from tests.support.speech import say
from tests.support.tone_model import RATE

pytest.importorskip("playwright.sync_api", reason="the browser page: expected playwright")

from playwright.sync_api import Browser, Locator, Page, Playwright, Route, WebSocket, expect, sync_playwright  # noqa: E402

from tests.support.browser import MODEL, MODELS, RECORDING, WORDS, executable, hear_all, launch  # noqa: E402

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"
NO_NETWORK = re.compile("Failed to load resource|WebSocket connection to .* failed")
DEVICE = """
const Native = AudioContext;
window.AudioContext = class extends Native { constructor(options) { super({ sampleRate: %d, ...options }); } };
"""
Open = Callable[..., Page]
expect.set_options(timeout=20_000)  # on a busy machine


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        if executable(playwright) is None:
            pytest.skip(
                "the browser page: expected a Chromium: apt-get install chromium, or playwright install chromium"
            )
        yield playwright


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recording = tmp_path_factory.mktemp("page") / "tones.flac"
    soundfile.write(recording, say("yes", "no", word_s=0.4), RATE)
    return recording


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tones: Path) -> Iterator[Browser]:
    browser = launch(playwright, tones, tones.parent, "--host-resolver-rules=MAP page.test 127.0.0.1")
    yield browser
    browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page in a context of its own; at the end, errors in its console fail the test."""
    errors: list[str] = []
    contexts = []

    def console(text: str, network_fails: bool) -> None:
        if not (network_fails and NO_NETWORK.match(text)):
            errors.append(text)

    def opened(
        url: str, using: Browser = browser, script: str = "", network_fails: bool = False, **options: object
    ) -> Page:
        contexts.append(context := using.new_context(**options))
        context.route(re.compile(r"^http://127[^/]*/(\?.*)?$"), _strictly)
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and console(message.text, network_fails))
        page.on("pageerror", lambda error: console(str(error), False))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def _strictly(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, headers={**answer.headers, "Content-Security-Policy": POLICY})


@pytest.fixture
def page(opened: Open, server: Running) -> Page:
    page = opened(server.http)
    expect(status(page)).to_contain_text("Ready: tones")
    return page


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def listen(page: Page) -> None:
    page.get_by_role("button", name="Listen").click()


def rows(page: Page) -> list[list[str]]:
    """The table, oldest first: word, at, score, since capture, algorithmic, server, queue, compute."""
    return [row.split("\t") for row in page.locator("#heard tbody tr").all_inner_texts()][::-1]


def test_every_word_is_shown_with_its_latency_at_any_rate(playwright: Playwright, opened: Open, tmp_path: Path) -> None:
    rates = (48000, 44100)
    using = launch(playwright, RECORDING, tmp_path)
    with serving(MODELS, MODEL) as server:
        pages = {rate: opened(server.http, using=using, script=DEVICE % rate) for rate in rates}
        sent = {rate: record(page) for rate, page in pages.items()}
        for page in pages.values():
            listen(page)
        for rate, page in pages.items():
            hear_all(page)
            assert status(page).inner_text() == f"Listening at {rate / 1000:g} kHz."
            page.get_by_role("button", name="Stop").click()
            expect(status(page)).to_contain_text("s heard")
        model = server.app.state.server.models.get(MODEL).model.metadata
        for rate, page in pages.items():
            table = rows(page)
            assert is_part(WORDS, [word for word, *_ in table])
            assert [row[:3] for row in table] == decisions(b"".join(sent[rate]), rate)
            for *_, since, algorithmic, in_server, queue, compute in table:
                assert float(algorithmic) == model.algorithmic_ms
                assert 10_000 > float(since) + 1 >= float(in_server) >= float(compute) > 0  # the page reads whole ms
                assert float(in_server) >= float(queue)
    using.close()


def record(page: Page) -> list[bytes]:
    """Everything binary that the page sends from now on."""
    sent: list[bytes] = []

    def keep(socket: WebSocket) -> None:
        socket.on("framesent", lambda data: sent.append(data) if isinstance(data, bytes) else None)

    page.on("websocket", keep)
    return sent


def decisions(data: bytes, rate: int) -> list[list[str]]:
    """What the model decides on the same bytes in process, as the table would have it."""
    spotter = Spotter(MODELS / MODEL, sample_rate=rate)
    events = spotter.push(np.frombuffer(data, "<i2") / np.float32(32768)) + spotter.flush()
    heard = [event for event in events if isinstance(event, Detection)]
    return [[event.label, f"{event.audio_time_s:.2f}", f"{event.score:.2f}"] for event in heard]


def is_part(words: list[str], of: list[str]) -> bool:
    """Whether all these words are there, in this order. The model may hear one twice."""
    rest = iter(of)
    return all(word in rest for word in words)


def test_the_worklet_keeps_order_clamps_and_takes_no_number_for_silence(page: Page) -> None:
    blocks = page.evaluate("""async () => {
        const samples = Float32Array.from({ length: 2560 }, (_, n) => n / 4000);
        samples.set([NaN, Infinity, -Infinity, 3, -3], 1000);
        const context = new OfflineAudioContext(1, samples.length, 16000);
        await context.audioWorklet.addModule("web/worklet.js");
        const source = new AudioBufferSourceNode(context, {
            buffer: new AudioBuffer({ length: samples.length, sampleRate: 16000 }) });
        source.buffer.copyToChannel(samples, 0);
        const capture = new AudioWorkletNode(context, "capture");
        const blocks = [];
        capture.port.onmessage = ({ data }) => blocks.push([...data.block]);
        source.connect(capture).connect(context.destination);
        source.start();
        await context.startRendering();
        await new Promise((done) => setTimeout(done, 200));
        return blocks;
    }""")
    assert [len(block) for block in blocks] == [320] * 8  # 20 ms
    expected = np.float32(np.arange(2560) / 4000) * 32767
    expected[1000:1005] = [0, 32767, -32767, 32767, -32767]
    assert np.abs(np.concatenate(blocks) - expected).max() <= 0.5


def test_a_device_beyond_the_servers_rates_is_resampled(opened: Open, server: Running) -> None:
    page = opened(server.http, script=DEVICE % 96000)
    listen(page)
    expect(status(page)).to_have_text("Listening at 48 kHz.")
    expect(page.locator("#heard tbody th")).to_have_text(["no", "yes"])


def test_speed_and_threshold_act_at_once(page: Page) -> None:
    told: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: told.append(json.loads(data))))
    listen(page)
    expect(status(page)).to_contain_text("Listening")
    page.get_by_text("fast", exact=True).click()
    expect(page.locator("#threshold-value")).to_have_text("0.60")
    page.get_by_role("slider").fill("0.33")
    expect(page.locator("#threshold-value")).to_have_text("0.33")
    assert page.locator("[name=speed]:checked").count() == 0
    page.get_by_text("accurate", exact=True).click()
    expect(page.locator("#threshold-value")).to_have_text("0.98")
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("s heard")
    configs = [message["config"] for message in told if message["type"] == "ready"]
    assert [config["threshold"]["no"] for config in configs] == [0.9, 0.6, 0.33, 0.98]


def test_everything_works_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("Listening")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("accurate")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#threshold-value")).to_have_text("0.97")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Listen")).to_be_focused()


def test_a_recording_shows_where_its_answer_falls_and_the_threshold_moves_it(page: Page, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "yes.wav", 0.7 * say("yes", word_s=0.4), RATE)
    choose(page, tmp_path / "yes.wav")
    expect(page.locator("#label")).to_have_text("yes")
    at = [decided_at(page)]
    for threshold in ("0.96", "0.99"):
        page.get_by_role("slider").fill(threshold)
        expect(page.locator("#ledger dd").first).not_to_have_text(f"{at[-1]:.2f} s")
        at.append(decided_at(page))
    assert 0.2 < at[0] < at[1] < at[2] < 0.65


def decided_at(page: Page) -> float:
    return float(page.locator("#ledger dd").first.inner_text().split()[0])


def choose(page: Page, recording: Path) -> None:
    page.get_by_label("Choose a recording").set_input_files(recording)


def test_a_recording_can_be_dropped(page: Page) -> None:
    page.evaluate("""async () => {
        const dropped = new DataTransfer();
        dropped.items.add(new File(["no sound"], "letter.wav"));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
    }""")
    expect(status(page)).to_contain_text("letter.wav: expected")


def test_a_model_can_be_chosen(page: Page, server: Running) -> None:
    page.get_by_label("Model").select_option("other")
    with page.expect_websocket(lambda socket: "model=other" in socket.url):
        listen(page)
    expect(status(page)).to_contain_text("Listening")


def test_a_microphone_refused_is_told(playwright: Playwright, opened: Open, server: Running, tones: Path) -> None:
    using = launch(playwright, tones, tones.parent, allow=False)
    page = opened(server.http, using=using)
    listen(page)
    expect(status(page)).to_have_text(re.compile("The microphone is blocked. Allow it"))
    expect(page.get_by_role("button", name="Listen")).to_be_visible()
    using.close()


def test_no_microphone_is_told(opened: Open, server: Running) -> None:
    none = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none', 'NotFoundError'); };"
    page = opened(server.http, script=none)
    listen(page)
    expect(status(page)).to_contain_text("No microphone found.")


def test_an_insecure_page_is_told(opened: Open, server: Running) -> None:
    page = opened(server.http.replace("127.0.0.1", "page.test"))
    listen(page)
    expect(status(page)).to_contain_text("on localhost or over https")


def test_a_server_gone_is_told(opened: Open, models_dir: Path) -> None:
    with serving(models_dir) as server:
        page = opened(server.http, network_fails=True)
        listen(page)
        expect(status(page)).to_contain_text("Listening")
    expect(status(page)).to_have_text(re.compile("The server is starting or stopping."))
    listen(page)
    expect(status(page)).to_have_text(re.compile("The server does not answer."))
    expect(page.get_by_role("button", name="Listen")).to_be_visible()


def test_a_full_server_is_told(opened: Open, models_dir: Path) -> None:
    with serving(models_dir, max_connections=1) as server:
        first, second = (opened(server.http, network_fails=True) for _ in range(2))
        listen(first)
        expect(status(first)).to_contain_text("Listening")
        listen(second)
        expect(status(second)).to_contain_text("takes no more streams")
        expect(status(first)).to_contain_text("Listening")


def test_a_key_wanted_is_asked_for_and_used(opened: Open, server: Running) -> None:
    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":
            return route.continue_()
        return route.fulfill(status=401, json={"error": {"code": "unauthorized", "message": "expected a key"}})

    page = opened("about:blank", network_fails=True)
    page.route("**/v1/models", guard)
    page.goto(server.http)
    expect(status(page)).to_contain_text("wants a key")
    page.get_by_label("Key").fill("sesame")
    page.keyboard.press("Tab")
    expect(status(page)).to_contain_text("Ready")
    page.goto(f"{server.http}/?token=sesame")
    expect(status(page)).to_contain_text("Ready")


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1120)])
def test_contrast_names_and_roles_are_clean(
    opened: Open, server: Running, tones: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def violations() -> list[str]:
        return [f"{found['id']}: {found['nodes']}" for found in axe.run(page).response["violations"]]

    page = opened(server.http, color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 844})
    expect(status(page)).to_contain_text("Ready")
    assert violations() == []
    listen(page)
    expect(page.locator("#heard tbody th")).to_have_text(["no", "yes"])
    assert violations() == []
    choose(page, tones)
    expect(status(page)).to_contain_text("tones.flac")
    assert violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_nothing_comes_from_elsewhere_and_every_part_is_used() -> None:
    texts = {name: path.read_text() for name, path in WEB.items()}
    for name, text in texts.items():
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == [], name
        assert name.endswith(".html") or any(name in other for key, other in texts.items() if key != name), name
