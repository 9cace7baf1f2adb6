"""clients/demo: the recording matches its script; `make demo` prints what it detects and leaves nothing behind."""

import json
import os
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from clients.demo import __main__ as demo
from clients.demo import synthesize
from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.speech import synthesize as synthesize_tones
from tests.support.tone_model import RATE

LINES = json.loads(demo.SCRIPT.read_text())


def test_the_words_lie_where_the_script_says() -> None:
    samples, rate = soundfile.read(demo.RECORDING, dtype="float32")
    assert (rate, samples.ndim) == (synthesize.SAMPLE_RATE, 1)
    assert 10 <= len(samples) / rate <= 14
    ends = [0.0, *(line["end_s"] for line in LINES)]
    for line, before in zip(LINES, ends, strict=False):
        start, end = round(line["start_s"] * rate), round(line["end_s"] * rate)
        assert np.abs(samples[start:end]).max() == pytest.approx(synthesize.PEAK, rel=0.01)
        assert np.abs(samples[round(before * rate) + 16 : start - 16]).max() < 0.01
    assert [(line["word"], line["voice"]) for line in LINES] == synthesize.LINES
    assert {line["word"] for line in LINES if not line["keyword"]} == set(synthesize.OTHER_WORDS)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("late_ms", range(0, 20, 2))
def test_the_bundled_model_detects_the_keywords_and_no_other_word(late_ms: int, rate: int) -> None:
    """However the frames fall on the words, at a microphone's rate too: not by luck."""
    samples, own_rate = soundfile.read(demo.RECORDING, dtype="float32")
    samples = soxr.resample(np.pad(samples, (late_ms * own_rate // 1000, 0)), own_rate, rate)
    spotter = Spotter(demo.MODELS / demo.MODEL, sample_rate=rate)
    detections = [event for event in spotter.push(samples) + spotter.flush() if isinstance(event, Detection)]
    spoken = [line for line in LINES if line["keyword"]]
    assert [event.label for event in detections] == [line["word"] for line in spoken]
    for event, line in zip(detections, spoken, strict=True):
        assert line["start_s"] < event.audio_time_s < line["end_s"] + synthesize.GAP_S


def test_a_recording_is_laid_out_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesize, "speak", lambda voice, word: np.full(1600 * len(word), 0.4, np.float32))
    audio, script = synthesize.record([("go", "a:b"), ("bed", "c:d")])
    assert script == [
        {"word": "go", "keyword": True, "voice": "a:b", "start_s": 0.7, "end_s": 0.9},
        {"word": "bed", "keyword": False, "voice": "c:d", "start_s": 1.6, "end_s": 1.9},
    ]
    assert len(audio) == round(2.6 * 16000)
    assert np.flatnonzero(np.abs(audio) > 0.2)[[0, -1]].tolist() == [11200, 30399]


def test_an_unknown_program_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected espeak-ng:, flite: or festival:VOICE, got 'parrot:x'"):
        synthesize.command("parrot:x", "go", Path("go.wav"))


@pytest.fixture
def tones(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo with the tiny model and a recording for it; returns the script."""
    soundfile.write(tmp_path / "tones.wav", synthesize_tones("yes", "no"), RATE)
    script = tmp_path / "tones.json"
    script.write_text(json.dumps([{"word": word, "keyword": True} for word in ("yes", "no")]))
    for name, value in {
        "RECORDING": tmp_path / "tones.wav",
        "SCRIPT": script,
        "MODELS": models_dir,
        "MODEL": "tones",
    }.items():
        monkeypatch.setattr(demo, name, value)
    return script


def test_each_decision_is_printed_with_its_latency_and_the_server_is_gone_afterwards(
    tones: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setattr(demo, "free_port", lambda: port)
    assert demo.main() == 0
    words, early, yes, _, no, *_, spoken, detected = capfd.readouterr().out.splitlines()
    assert words == "words of the synthetic voices: yes no"
    assert "yes        0.70  early " in early
    assert "yes        0.97  confirmed " in yes
    assert "no " in no
    assert "server " in yes
    assert "ms ago" in yes
    assert (spoken, detected) == ("keywords spoken:  yes no", "labels detected:  yes no")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_the_server_is_stopped_when_the_reader_leaves(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(demo, "free_port", lambda: port)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert demo.main() == 141
        monkeypatch.undo()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_a_missed_word_is_a_failure(tones: Path) -> None:
    tones.write_text(json.dumps([{"word": "no", "keyword": True}]))
    assert demo.main() == 1


def test_a_server_that_does_not_start_is_quoted(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODEL", "none")
    with pytest.raises(SystemExit, match="default model: expected among other, tones, got 'none'"):
        demo.main()


def test_the_server_is_stopped_when_the_client_fails(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = []

    def fail(port: int) -> list[str]:
        ports.append(port)
        raise OSError("no network")

    monkeypatch.setattr(demo, "stream_recording", fail)
    with pytest.raises(OSError, match="no network"):
        demo.main()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{ports[0]}/healthz")
