"""rc-listen (clients/commands/listen.py) on its command line against the real service, and with a real audio device."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from clients.commands import listen as module
from clients.commands.hook import DetectionHook
from clients.commands.listen import main
from clients.connection import Event
from clients.decisions import status_of
from clients.demo.__main__ import RECORDING, SCRIPT
from tests.support.fake_microphone import FakeMicrophone, InterruptedMicrophone
from tests.support.paths import ROOT
from tests.support.server import Running, serving
from tests.support.server_process import command
from tests.support.speech import synthesize

HOOK = f'{sys.executable} -c \'import os; print(os.environ["RC_LABEL"], os.environ["RC_SCORE"])\''
WAIT_S = 30.0


def play(monkeypatch: pytest.MonkeyPatch, *pieces: NDArray[np.float32]) -> None:
    """Let the microphone record this."""
    monkeypatch.setattr(module, "Microphone", lambda _: InterruptedMicrophone(*pieces))


def test_one_line_per_detection_and_the_rest_on_stderr(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, synthesize("yes", "no"))
    assert main(["--url", server.ws(), "--speed", "fast"]) == 0
    output = capsys.readouterr()
    yes, no = output.out.splitlines()
    assert yes.startswith("  0.26 s  yes        0.")
    assert no.split()[2] == "no"
    assert "(spoken " in no
    listening, summary = output.err.splitlines()[-2:]
    assert listening == "fake, 16000 Hz: listening for yes, no"
    assert summary.startswith("1.60 s of audio, 2 detections, server p50 ")


def test_json_and_settings(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, synthesize("yes", "no"))
    options = ["--json", "--model", "other", "--keywords", "no", "--threshold", "0.5"]
    assert main(["--url", server.ws(), *options]) == 0
    detection, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (detection["type"], detection["label"], detection["threshold"]) == ("detection", "no", 0.5)
    assert detection["lag_ms"] > 0
    assert (summary["type"], summary["detections"]) == ("summary", 1)


def test_each_decision_is_printed_and_starts_the_command(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def start(_: DetectionHook, event: Event) -> list[str]:
        started.append(status_of(event))
        return []

    monkeypatch.setattr(DetectionHook, "start", start)
    play(monkeypatch, synthesize("no", word_s=0.03), synthesize("yes"))
    assert main(["--url", server.ws(), "--early", "--exec", "true"]) == 0
    output = capsys.readouterr()
    assert [line.split("  (")[0].split()[2:] for line in output.out.splitlines()] == [
        ["no", "0.70", "early"],
        ["no", "0.24", "retracted:", "fell"],
        ["yes", "0.70", "early"],
        ["yes", "0.97", "confirmed"],
    ]
    assert started == ["early", "retracted", "early", "confirmed"]
    assert " s of audio, 1 detections" in output.err


def test_ctrl_c_is_as_it_was_afterwards(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    play(monkeypatch)
    assert main(["--url", server.ws()]) == 0
    assert signal.getsignal(signal.SIGINT) == before


def test_a_wrong_path_ends_at_once(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "Microphone", lambda _: FakeMicrophone())
    assert main(["--url", f"ws://{server.address}/v1/strem"]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("rc-listen: "))
    assert line.startswith("rc-listen: http_404: ")
    assert line.endswith("; check the path of the address: streams are at /v1/stream and /v1/streams")


def test_a_missing_key_ends_at_once(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RC_API_KEY", raising=False)
    monkeypatch.setattr(module, "Microphone", lambda _: FakeMicrophone())
    with serving(models_dir, api_keys="a-key-of-16-letters") as secured:
        assert main(["--url", secured.ws()]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("rc-listen: "))
    assert line.startswith("rc-listen: http_401: ")
    assert line.endswith("; set the environment variable RC_API_KEY to a key of this server")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_left_ends_the_command(models_dir: Path, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    play(monkeypatch, synthesize("yes"))
    with command(models_dir) as (_, address), os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, stream, closed)
        assert main(["--url", f"ws://{address}/v1/stream"]) == 141
        monkeypatch.undo()


def test_a_refusal_is_printed(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "Microphone", lambda _: FakeMicrophone())
    assert main(["--url", server.ws(), "--model", "none"]) == 1
    assert "rc-listen: unknown_model: model: expected among other, tones, got 'none'\n" in capsys.readouterr().err


def test_a_missing_microphone_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main([]) == main(["--list-devices"]) == 1
    assert capsys.readouterr().err.startswith("rc-listen: expected the package sounddevice, got none: pip install")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--url", "http://x"],
            "expected an address such as ws://127.0.0.1:8000/v1/stream, got 'http://x': ",
        ),
        (["--exec", "no-such-program 1"], "expected a program of this machine, got 'no-such-program 1'"),
        (["--exec", "'"], 'expected a command, got "\'": No closing quotation'),
        (["--exec", ""], "expected a program of this machine, got ''"),
    ],
)
def test_wrong_options_are_printed(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


@contextmanager
def sound_server(folder: Path) -> Iterator[dict[str, str]]:
    """PulseAudio with a microphone that records what is played; the environment that leads there."""
    # without norewinds the sink holds two seconds back, and runs out of memory blocks with a quick reader
    loads = ["module-native-protocol-unix auth-anonymous=1", "module-null-sink sink_name=room norewinds=1"]
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *(f"--load={load}" for load in loads)]
    place = {"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "PULSE_SINK": "room", "PULSE_SOURCE": "room.monitor"}
    environment = {**os.environ, **place, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log:
        pulse = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + WAIT_S
        while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
            assert pulse.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield environment
    finally:
        pulse.terminate()
        pulse.wait()


@pytest.mark.skipif(
    not (shutil.which("pulseaudio") and shutil.which("paplay") and find_library("portaudio")),
    reason="needs pulseaudio, pulseaudio-utils, libportaudio2 and libasound2-plugins",
)
def test_a_real_device_is_recorded(tmp_path_factory: pytest.TempPathFactory) -> None:
    script = json.loads(SCRIPT.read_text())[:4]
    samples, rate = soundfile.read(RECORDING, dtype="float32")
    folder = tmp_path_factory.mktemp("sound")
    soundfile.write(folder / "part.wav", samples[: round((script[-1]["end_s"] + 0.4) * rate)], rate)
    with serving(ROOT / "models", "speech-commands-rc") as server, sound_server(folder) as environment:
        command = [sys.executable, "-m", "clients.commands.listen", "--url", server.ws(), "--json", "--exec", HOOK]
        with subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as listener:
            assert listener.stdout
            assert listener.stderr
            assert "Hz: listening for yes, no, " in listener.stderr.readline()
            subprocess.run(["paplay", folder / "part.wav"], env=environment, check=True)
            listener.send_signal(signal.SIGINT)
            out, err = listener.communicate(timeout=WAIT_S)
    *events, summary = map(json.loads, out.splitlines())
    detections = [event for event in events if event["type"] == "detection"]
    assert [event["label"] for event in detections] == [line["word"] for line in script if line["keyword"]]
    assert err.splitlines() == [f"{event['label']} {event['score']}" for event in detections]
    assert all(0 < event["lag_ms"] < 1000 for event in detections)
    assert (summary["type"], listener.returncode) == ("summary", 0)
