"""service/web in a headless Chromium with a fake microphone, under a Content-Security-Policy that allows nothing it
does not need."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

from clients.decisions import DECISIONS
from clients.demo.__main__ import MODEL, MODELS, RECORDING
from service.server.rest.pages import PAGE_FILES
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.early import EARLY_METADATA
from tests.support.server import Running, serving
from tests.support.speech import synthesize
from tests.support.tone_model import LABELS, METADATA, RATE, tone_model, write_model

pytest.importorskip("playwright.sync_api", reason="the browser page: expected playwright")

from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    Playwright,
    Route,
    WebSocket,
    WebSocketRoute,
    expect,
    sync_playwright,
)

from tests.support.browser import WORDS, executable, launch, wait_for_last_word

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"
NO_NETWORK = re.compile("Failed to load resource|WebSocket connection to .* failed")
DEVICE = """
const Native = AudioContext;
window.AudioContext = class extends Native { constructor(options) { super({ sampleRate: %d, ...options }); } };
"""
SILENT_MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  const output = context.createMediaStreamDestination();
  window.unmute = () => {
    const tone = context.createOscillator();
    tone.connect(output);
    tone.start();
  };
  return output.stream;
};
"""
RECORD_LABELS = """
window.shown = [];
addEventListener("DOMContentLoaded", () => {
  const label = document.getElementById("label");
  new MutationObserver(() => label.className !== "none" && shown.push(`${label.className} ${label.textContent}`))
    .observe(label, { childList: true });
});
"""
NO_MICROPHONE = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none', '%s'); };"
LATE_MICROPHONE = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const allowed = new Promise((resolve) => (window.allow = resolve));
navigator.mediaDevices.getUserMedia = (constraints) => allowed.then(() => open(constraints));
"""
RECORD_CONSTRAINTS = """
window.asked = [];
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (constraints) => (asked.push(constraints), open(constraints));
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
    soundfile.write(recording, synthesize("yes", "no", word_s=0.4), RATE)
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

    def report(text: str, network_fails: bool) -> None:
        if not (network_fails and NO_NETWORK.match(text)):
            errors.append(text)

    def opened(
        url: str, using: Browser = browser, script: str = "", network_fails: bool = False, **options: Any
    ) -> Page:
        contexts.append(context := using.new_context(**options))
        context.route(re.compile(r"^http://127[^/]*/(\?.*)?$"), _strictly)
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: report(message.text, network_fails) if message.type == "error" else None)
        page.on("pageerror", lambda error: report(str(error), False))
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
    """The visible table, from top to bottom: word, time, score, and live microphone to screen, model delay, server,
    waiting, computing."""
    return [row.rstrip().split("\t") for row in page.locator("#detections tbody tr").all_inner_texts()]


def test_every_word_is_shown_with_its_latency_at_any_rate(playwright: Playwright, opened: Open, tmp_path: Path) -> None:
    rates = (48000, 44100)
    using = launch(playwright, RECORDING, tmp_path)
    with serving(MODELS, MODEL) as server:
        pages = {rate: opened(server.http, using=using, script=DEVICE % rate) for rate in rates}
        sent = {rate: record(page) for rate, page in pages.items()}
        for page in pages.values():
            listen(page)
        for rate, page in pages.items():
            wait_for_last_word(page)
            assert status(page).inner_text() == f"Listening at {rate / 1000:g} kHz."
            page.get_by_role("button", name="Stop").click()
            expect(status(page)).to_contain_text("Stopped after")
        model = server.app.state.server.models.get(MODEL).model.metadata
        for rate, page in pages.items():
            table = rows(page)[::-1]
            assert is_part(WORDS, [word for word, *_ in table])
            assert [row[:3] for row in table] == decisions(b"".join(sent[rate]), rate)
            for *_, screen, model_delay, in_server, waiting, computing in table:
                assert float(model_delay) == model.algorithmic_ms
                assert 10_000 > float(screen) + 1 >= float(in_server) >= float(computing) > 0  # the page reads whole ms
                assert float(in_server) >= float(waiting)
    using.close()


def record(page: Page) -> list[bytes]:
    """Everything binary that the page sends from now on."""
    sent: list[bytes] = []

    def keep(socket: WebSocket) -> None:
        socket.on("framesent", lambda data: sent.append(data) if isinstance(data, bytes) else None)

    page.on("websocket", keep)
    return sent


def test_messages_are_as_long_as_the_server_recommends(opened: Open, models_dir: Path) -> None:
    with serving(models_dir, chunk_ms=100) as running:
        page = opened(running.http, script=DEVICE % RATE)
        sent = record(page)
        listen(page)
        expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
        stop(page)
        *messages, rest = map(len, sent)
    assert set(messages) == {3200}
    assert 0 < rest <= 3200


def decisions(data: bytes, rate: int, model: Model | Path = MODELS / MODEL) -> list[list[str]]:
    """The detections in the same bytes in process, as the table shows them."""
    spotter = Spotter(model, sample_rate=rate)
    events = spotter.push(np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)) + spotter.flush()
    words = [event for event in events if isinstance(event, Detection)]
    return [[word.label, f"{word.audio_time_s:.2f}", f"{word.score:.2f}"] for word in words]


def is_part(words: list[str], of: list[str]) -> bool:
    """Whether all these words are there, in this order. The model may detect one twice."""
    rest = iter(of)
    return all(word in rest for word in words)


def test_the_worklet_keeps_order_clamps_and_turns_nan_into_silence(page: Page) -> None:
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
    expected = 32767 * (np.arange(2560) / 4000).astype(np.float32)
    expected[1000:1005] = [0, 32767, -32767, 32767, -32767]
    assert np.abs(np.concatenate(blocks) - expected).max() <= 0.5


def test_a_device_beyond_the_servers_rates_is_resampled(opened: Open, server: Running) -> None:
    page = opened(server.http, script=DEVICE % 96000)
    listen(page)
    expect(status(page)).to_have_text("Listening at 48 kHz.")
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])


def test_settings_act_at_once_and_a_threshold_belongs_to_its_speed(page: Page) -> None:
    received: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(json.loads(data))))
    listen(page)
    expect(status(page)).to_contain_text("Listening")
    choose_speed(page, "fast")
    expect(threshold(page)).to_have_text("0.60")
    page.get_by_role("slider").fill("0.33")
    expect(threshold(page)).to_have_text("0.33")
    expect(page.get_by_label("fast")).to_be_checked()
    choose_speed(page, "accurate")
    expect(threshold(page)).to_have_text("0.98")
    choose_speed(page, "fast")
    expect(threshold(page)).to_have_text("0.33")
    page.get_by_role("button", name="Reset").click()
    expect(threshold(page)).to_have_text("0.60")
    expect(page.get_by_role("slider")).to_be_focused()
    page.get_by_role("checkbox", name="yes", exact=True).uncheck()
    stop(page)
    configs = [message["config"] for message in received if message["type"] == "ready"]
    assert [config["threshold"]["no"] for config in configs] == [0.9, 0.6, 0.33, 0.98, 0.33, 0.6, 0.6]
    assert [config["speed"] for config in configs] == ["balanced", "fast", "fast", "accurate", *["fast"] * 3]
    assert [config["keywords"] for config in configs[-2:]] == [["yes", "no"], ["no"]]


def test_a_setting_changed_before_the_stream_is_ready_counts(opened: Open, server: Running) -> None:
    page = opened(server.http, script=LATE_MICROPHONE)
    received: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(json.loads(data))))
    expect(status(page)).to_contain_text("Ready")
    listen(page)
    expect(status(page)).to_have_text("Asking for the microphone.")
    choose_speed(page, "fast")
    page.evaluate("allow()")
    expect(status(page)).to_contain_text("Listening")
    stop(page)
    assert [message["config"]["speed"] for message in received if message["type"] == "ready"][-1] == "fast"


def choose_speed(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).check()


def threshold(page: Page) -> Locator:
    return page.locator("#threshold-value")


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("Stopped after")


def test_a_threshold_belongs_to_its_mode(opened: Open, tones: Path, tmp_path: Path) -> None:
    modes = {"continuous": dict.fromkeys(LABELS, 0.9), "utterance": dict.fromkeys(LABELS, 0.8)}
    (tmp_path / "tones").mkdir()
    onnx.save(tone_model(replace(METADATA, speeds={"balanced": modes})), tmp_path / "tones" / "model.onnx")
    with serving(tmp_path) as server:
        page = opened(server.http)
        expect(threshold(page)).to_have_text("0.90")
        assert page.locator("[name=speed]").evaluate_all("speeds => speeds.map(({ value }) => value)") == ["balanced"]
        choose(page, tones)
        expect(status(page)).to_contain_text("2 words")
        expect(threshold(page)).to_have_text("0.90")
        page.get_by_label("One answer").check()
        expect(threshold(page)).to_have_text("0.80")
        page.get_by_role("slider").fill("0.7")
        with page.expect_websocket(lambda socket: "threshold" not in socket.url):
            listen(page)
        expect(threshold(page)).to_have_text("0.90")
        expect(page.get_by_role("slider")).to_have_value("0.9")
        choose(page, tones)
        expect(threshold(page)).to_have_text("0.70")


def test_keywords_can_be_chosen_for_each_model_but_not_none(page: Page, tones: Path) -> None:
    yes, no = (page.get_by_role("checkbox", name=name, exact=True) for name in ("yes", "no"))
    expect(page.locator("#explanation")).to_have_text("Say yes, no.")
    no.uncheck()
    expect(page.locator("#explanation")).to_have_text("Say yes.")
    yes.click()
    expect(status(page)).to_have_text("Keep at least one keyword.")
    expect(yes).to_be_checked()
    choose(page, tones)
    expect(status(page)).to_contain_text("tones.flac: 1 word.")
    with page.expect_websocket(lambda socket: "keywords=yes&" in socket.url):
        listen(page)
    expect(page.locator("#detections tbody th")).to_have_text(["yes"])
    page.get_by_label("Model").select_option("other")
    expect(no).to_be_checked()
    page.get_by_label("Model").select_option("tones")
    expect(no).not_to_be_checked()
    expect(yes).to_be_checked()


def test_everything_works_by_keyboard(page: Page) -> None:
    press = page.keyboard.press
    press("Tab")
    press("Enter")
    expect(status(page)).to_contain_text("Listening")
    press("Tab")
    press("ArrowRight")
    expect(page.get_by_label("accurate")).to_be_checked()
    press("Tab")
    press("ArrowLeft")
    expect(threshold(page)).to_have_text("0.97")
    page.get_by_role("checkbox", name="yes", exact=True).focus()
    press("Tab")
    press("Space")
    expect(page.get_by_role("checkbox", name="no", exact=True)).not_to_be_checked()
    for _ in range(20):
        if page.get_by_role("button", name="Stop").evaluate("button => button === document.activeElement"):
            break
        press("Shift+Tab")
    press("Space")
    expect(page.get_by_role("button", name="Listen")).to_be_focused()


def test_the_level_shows_and_digital_silence_is_reported_until_sound_returns(opened: Open, server: Running) -> None:
    page = opened(server.http, script=SILENT_MICROPHONE)
    listen(page)
    expect(status(page)).to_contain_text("Listening")
    assert level(page) == -60
    expect(status(page)).to_contain_text("No sound from this microphone.")
    page.evaluate("unmute()")
    expect(status(page)).to_contain_text("Listening")
    page.wait_for_function("document.getElementById('level').value > -10")
    stop(page)
    assert level(page) == -60


def level(page: Page) -> float:
    meter = page.get_by_role("meter", name="Microphone level", include_hidden=True)
    return float(meter.evaluate("meter => meter.value"))


def test_a_microphone_can_be_chosen_and_is_remembered(opened: Open, server: Running) -> None:
    page = opened(server.http, script=RECORD_CONSTRAINTS)
    listen(page)
    select = page.get_by_label("Microphone", exact=True)
    expect(select).to_be_visible()
    names = [name for name in select.locator("option").all_inner_texts() if name != "System default"]
    assert len(names) >= 2
    select.select_option(names[-1])
    expect(status(page)).to_contain_text("Listening")
    stop(page)
    listen(page)
    expect(status(page)).to_contain_text("Listening")
    chosen = {"exact": select.input_value()}
    assert page.evaluate("asked.map(({ audio }) => audio.deviceId ?? null)") == [None, chosen, chosen]


def test_a_microphone_that_has_gone_is_reported(opened: Open, server: Running) -> None:
    page = opened(server.http, script=NO_MICROPHONE % "OverconstrainedError")
    listen(page)
    expect(status(page)).to_contain_text("That microphone is not connected.")


def test_every_word_of_a_recording_is_listed_as_in_a_stream_or_the_first_alone(
    page: Page, tones: Path, model: Model
) -> None:
    samples, _ = soundfile.read(tones, dtype="int16")
    choose(page, tones)
    expect(status(page)).to_contain_text("tones.flac: 2 words.")
    assert rows(page) == decisions(samples.tobytes(), RATE, model)
    expect(page.locator("#label")).to_have_text("2 words")
    page.get_by_label("One answer").check()
    expect(page.locator("#label")).to_have_text("yes")
    expect(page.locator("#detections")).to_be_hidden()
    page.get_by_label("One answer").uncheck()
    expect(page.locator("#label")).to_have_text("2 words")


def test_a_bad_recording_shows_its_error_alone(page: Page, tones: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("no sound")
    choose(page, tones)
    expect(page.locator("#detections tbody th")).to_have_text(["yes", "no"])
    choose(page, tmp_path / "letter.wav")
    expect(status(page)).to_contain_text("letter.wav: expected")
    expect_no_detection(page)
    listen(page)
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
    choose(page, tmp_path / "letter.wav")
    expect(status(page)).to_contain_text("letter.wav: expected")
    expect_no_detection(page)


def expect_no_detection(page: Page) -> None:
    expect(page.locator("#label")).to_have_text("—")
    expect(page.locator("#detections")).to_be_hidden()
    expect(page.locator("#breakdown")).to_be_empty()


def test_a_session_that_was_replaced_shows_nothing_any_more(page: Page, tones: Path) -> None:
    held: list[tuple[WebSocketRoute, str]] = []

    def hold(socket: WebSocketRoute) -> None:
        def forward(text: str | bytes) -> None:
            if json.loads(text)["type"] in DECISIONS:
                held.append((socket, str(text)))
            else:
                socket.send(text)

        socket.connect_to_server().on_message(forward)

    page.route_web_socket(re.compile("/v1/stream"), hold)
    listen(page)
    while len(held) < 4:
        page.wait_for_timeout(20)
    choose(page, tones)
    expect(page.locator("#label")).to_have_text("2 words")
    before = rows(page)
    for socket, text in held:
        socket.send(text)
    page.get_by_label("One answer").check()
    page.get_by_label("One answer").uncheck()
    expect(page.locator("#label")).to_have_text("2 words")
    assert rows(page) == before


def test_a_recording_shows_where_its_answer_falls_and_the_threshold_moves_it(page: Page, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "yes.wav", 0.7 * synthesize("yes", word_s=0.4), RATE)
    page.get_by_label("One answer").check()
    choose(page, tmp_path / "yes.wav")
    expect(page.locator("#label")).to_have_text("yes")
    at = [decided_at(page)]
    for threshold in ("0.96", "0.99"):
        page.get_by_role("slider").fill(threshold)
        expect(page.locator("#breakdown dd").first).not_to_have_text(f"{at[-1]:.2f} s")
        at.append(decided_at(page))
    assert 0.2 < at[0] < at[1] < at[2] < 0.65


def decided_at(page: Page) -> float:
    return float(page.locator("#breakdown dd").first.inner_text().split()[0])


def choose(page: Page, recording: Path) -> None:
    page.get_by_label("Choose a recording").set_input_files(recording)


def test_a_recording_can_be_dropped(page: Page) -> None:
    page.evaluate("""async () => {
        const dropped = new DataTransfer();
        dropped.items.add(new File(["no sound"], "letter.wav"));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
    }""")
    expect(status(page)).to_contain_text("letter.wav: expected")


def test_early_detections_are_shown_and_confirmed_or_taken_back(
    playwright: Playwright, opened: Open, tmp_path: Path
) -> None:
    """The label is shown as uncertain first; only what is confirmed gets a row."""
    write_model(tmp_path / "models", "tones", EARLY_METADATA)
    short, long = synthesize("no", word_s=0.05, gap_s=0.6), synthesize("yes", gap_s=0.6)
    soundfile.write(recording := tmp_path / "words.flac", np.concatenate([long, short]), RATE)
    using = launch(playwright, recording, tmp_path)
    with serving(tmp_path / "models") as server:
        page = opened(server.http, using=using, script=RECORD_LABELS)
        listen(page)
        expect(page.locator("#explanation")).to_have_text("taken back: the score fell again")
        assert page.evaluate("shown") == ["early yes", " yes", "early no", "retracted no"]
        assert [row[0] for row in rows(page)] == ["yes"]
        stop(page)
        expect(status(page)).to_contain_text(": 1 word.")
    using.close()


def test_early_detections_can_be_switched_off(opened: Open, server: Running) -> None:
    page = opened(server.http, script=RECORD_LABELS)
    received: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(json.loads(data))))
    listen(page)
    expect(status(page)).to_contain_text("Listening")
    page.get_by_label("Early").uncheck()
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
    stop(page)
    configs = [message["config"] for message in received if message["type"] == "ready"]
    assert [config.get("early") for config in configs] == [True, None]
    assert page.evaluate("shown")[-2:] == [" yes", " no"]


def test_a_model_without_fast_offers_no_early_detections(opened: Open, tmp_path: Path) -> None:
    speeds = {speed: METADATA.speeds[speed] for speed in ("balanced", "accurate")}
    write_model(tmp_path, "tones", replace(METADATA, speeds=speeds))
    with serving(tmp_path) as server:
        page = opened(server.http)
        listen(page)
        expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
        expect(page.get_by_label("Early")).to_be_hidden()


def test_a_model_can_be_chosen(page: Page, server: Running) -> None:
    page.get_by_label("Model").select_option("other")
    with page.expect_websocket(lambda socket: "model=other" in socket.url):
        listen(page)
    expect(status(page)).to_contain_text("Listening")
    stop(page)
    page.get_by_label("Model").select_option("tones")
    expect(status(page)).to_contain_text("Ready: tones")


def test_a_refused_microphone_is_reported(playwright: Playwright, opened: Open, server: Running, tones: Path) -> None:
    using = launch(playwright, tones, tones.parent, allow=False)
    page = opened(server.http, using=using)
    listen(page)
    expect(status(page)).to_have_text(re.compile("The microphone is blocked. Allow it"))
    expect(page.get_by_role("button", name="Listen")).to_be_visible()
    using.close()


def test_a_missing_microphone_is_reported_and_no_earlier_answer_stays(
    opened: Open, server: Running, tones: Path
) -> None:
    page = opened(server.http, script=NO_MICROPHONE % "NotFoundError")
    choose(page, tones)
    expect(page.locator("#label")).to_have_text("2 words")
    listen(page)
    expect(status(page)).to_contain_text("No microphone found.")
    expect_no_detection(page)


def test_an_insecure_page_is_reported(opened: Open, server: Running) -> None:
    page = opened(server.http.replace("127.0.0.1", "page.test"))
    listen(page)
    expect(status(page)).to_contain_text("on localhost or over https")


def test_an_unreachable_server_is_reported(opened: Open, models_dir: Path) -> None:
    with serving(models_dir) as server:
        page = opened(server.http, network_fails=True)
        listen(page)
        expect(status(page)).to_contain_text("Listening")
    expect(status(page)).to_have_text(re.compile(r"The server does not answer\. Connecting again in [\d.]+ s\."))
    page.get_by_role("button", name="Stop").click()
    listen(page)
    expect(status(page)).to_have_text(re.compile("The server does not answer."))
    expect(page.get_by_role("button", name="Listen")).to_be_visible()


def test_a_session_goes_on_when_the_server_restarts(opened: Open, models_dir: Path) -> None:
    port = free_port()
    with serving(models_dir, port=port) as server:
        page = opened(server.http, network_fails=True)
        listen(page)
        expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
        before = rows(page)
    expect(status(page)).to_contain_text("Connecting again in")
    with serving(models_dir, port=port):
        expect(status(page)).to_have_text(re.compile(r"Connected again: [\d.]+ s of sound were not decided on"))
        assert rows(page)[-2:] == before[-2:]
        stop(page)
        expect(status(page)).to_contain_text("Stopped after")
        expect(status(page)).to_contain_text("2 words")


def test_the_page_sends_again_what_clients_of_python_would(page: Page) -> None:
    """The scenario of tests/clients/test_continuation.py at 1 kHz."""
    steps = """async () => {
        const { Continuation } = await import("/web/continuation.js");
        const ready = { model: { frame_ms: 10 }, config: { refractory_s: 0.5 } };
        const source = new Continuation(1000);
        const at = (type, audio_time_s, rest) => ({ type, audio_time_s, frame: 100 * audio_time_s - 1, ...rest });
        const facts = (messages) => messages.map(({ type, label, audio_time_s: t }) => [type, label, t]);
        const receive = (...message) => facts(source.receive(at(...message)));
        source.begin(ready);
        for (let i = 0; i < 80; i++) source.push(new Int16Array(100));
        const seen = [receive("detection", 4.8, { id: 1, label: "yes" }), receive("scores", 5)];
        const before = source.undecidedS;
        const sizes = [source.begin(ready).length];
        seen.push(receive("scores", 1.9), receive("detection", 1.75, { id: 1, label: "yes" }));
        seen.push(receive("detection", 2.2, { id: 2, label: "yes" }));
        seen.push(receive("detection", 2.6, { id: 3, label: "no" }));
        sizes.push(source.drop(1), source.undecidedS, source.begin(ready).length);
        seen.push(receive("detection", 1.6, { id: 1, label: "yes", status: "early" }));
        seen.push(receive("confirmed", 2.25, { id: 1, label: "yes" }));
        seen.push(receive("detection", 2.5, { id: 2, label: "no", status: "early" }));
        seen.push(receive("retracted", 2.6, { id: 2 }));
        return { seen, before, sizes };
    }"""
    result = page.evaluate(steps)
    assert (result["before"], result["sizes"]) == (3, [50, pytest.approx(1.4), 1, 30])
    assert result["seen"] == [
        [["detection", "yes", 4.8]],
        [["scores", None, 5]],
        [],
        [],
        [],
        [["detection", "no", 5.6]],
        [],
        [["detection", "yes", 6.6], ["confirmed", "yes", 7.25]],
        [["detection", "no", 7.5]],
        [["retracted", None, 7.6]],
    ]


def test_a_full_server_is_reported(opened: Open, models_dir: Path) -> None:
    with serving(models_dir, max_streams=1) as server:
        first, second = (opened(server.http, network_fails=True) for _ in range(2))
        listen(first)
        expect(status(first)).to_contain_text("Listening")
        listen(second)
        expect(status(second)).to_contain_text("takes no more streams")
        expect(status(first)).to_contain_text("Listening")


def test_a_required_key_is_asked_for_and_used(opened: Open, server: Running, tones: Path) -> None:
    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":
            return route.continue_()
        return route.fulfill(status=401, json={"error": {"code": "unauthorized", "message": "expected a key"}})

    page = opened("about:blank", network_fails=True)
    page.route("**/v1/models", guard)
    page.goto(server.http)
    expect(status(page)).to_contain_text("requires a key")
    choose(page, tones)
    expect(status(page)).to_contain_text("requires a key")
    page.get_by_label("One answer").check()
    page.get_by_label("Key", exact=True).fill("sesame")
    page.keyboard.press("Tab")
    expect(page.locator("#label")).to_have_text("yes")
    page.goto(f"{server.http}/?token=sesame")
    expect(status(page)).to_contain_text("Ready")


@pytest.mark.parametrize("key", ["", "sesame-of-16-letters"])
def test_links_and_sockets_stay_under_the_pages_path_and_keep_the_key(opened: Open, models_dir: Path, key: str) -> None:
    with serving(models_dir, root_path="/kws", api_keys=key) as server:
        home, query = f"{server.http}/kws/", f"?token={key}" if key else ""
        page = opened(home + query)
        expect(status(page)).to_contain_text("Ready")
        links = page.locator("footer a").evaluate_all("links => links.map(({ href }) => href)")
        assert links == [f"{home}{path}{query}" for path in ("docs", "v1/models", "metrics")]
        with page.expect_websocket(lambda socket: "/kws/v1/stream?" in socket.url):
            listen(page)
        expect(status(page)).to_contain_text("Listening")
        page.get_by_role("link", name="HTTP interface").click()
        expect(page.locator("#swagger-ui")).to_contain_text("/v1/classify")


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1120)])
def test_contrast_names_and_roles_are_clean(
    opened: Open, server: Running, tones: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def violations() -> list[str]:
        return [f"{violation['id']}: {violation['nodes']}" for violation in axe.run(page).response["violations"]]

    page = opened(server.http, color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 844})
    expect(status(page)).to_contain_text("Ready")
    assert violations() == []
    listen(page)
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
    assert violations() == []
    choose(page, tones)
    expect(status(page)).to_contain_text("tones.flac")
    assert violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_shows_the_chart_first_all_notes_and_three_columns(opened: Open, server: Running) -> None:
    page = opened(server.http, viewport={"width": 360, "height": 800})
    listen(page)
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
    parts = ["#listen", "#chart", "#label", "#speeds", "#threshold", "#keywords", "#drop", "#detections"]
    tops = [box["y"] for part in parts if (box := page.locator(part).bounding_box())]
    assert tops == sorted(tops)
    assert len(tops) == len(parts)
    assert [len(row) for row in rows(page)] == [3, 3]
    notes = page.locator("#breakdown dd + dd")
    assert notes.count() == 5
    assert all(note.is_visible() for note in notes.all())
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_page_uses_words_that_its_user_knows(page: Page) -> None:
    listen(page)
    expect(page.locator("#detections tbody th")).to_have_text(["no", "yes"])
    names = page.locator("#breakdown dt").all_inner_texts()
    assert names == ["Model delay", "Microphone to screen", "Server", "Waiting", "Computing"]
    columns = page.locator("#detections thead th").all_inner_texts()
    assert columns[3:] == [f"{name.lower()}, ms" for name in [names[1], names[0], *names[2:]]]
    for control in ("speeds", "threshold"):
        note = page.locator(f"#{control}").get_attribute("aria-describedby")
        expect(page.locator(f"#{note}")).to_contain_text(re.compile("sooner.*(mistakes|missed words)"))


def test_nothing_comes_from_elsewhere_and_every_part_is_used() -> None:
    texts = {name: path.read_text() for name, path in PAGE_FILES.items()}
    for name, text in texts.items():
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == [], name
        assert name.endswith(".html") or any(name in other for key, other in texts.items() if key != name), name
