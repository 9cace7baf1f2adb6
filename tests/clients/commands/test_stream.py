"""rc-stream (clients/commands/stream.py) by its command line, against the real service."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from clients.commands.stream import main, show_line
from tests.support.fake_server import detection
from tests.support.paths import ROOT
from tests.support.server import Running
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

EARLY_LINES = ["no 0.70 early", "no 0.24 retracted: fell", "yes 0.70 early", "yes 0.97 confirmed"]
COMMAND = "clients.commands.stream"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Words at several rates, of one and two channels, in every format, and one clip that crosses no threshold."""
    folder = tmp_path_factory.mktemp("clips")
    kinds = [(16000, 1, "wav"), (16000, 1, "flac"), (44100, 2, "wav"), (8000, 1, "wav"), (48000, 2, "ogg")]
    paths = []
    for i, (rate, channels, suffix) in enumerate([*kinds, *kinds]):
        samples = np.stack([synthesize(("yes", "no")[i % 2], rate=rate, seed=seed) for seed in range(channels)], axis=1)
        paths.append(folder / f"{i}.{suffix}")
        soundfile.write(paths[-1], samples, rate)
    soundfile.write(folder / "quiet.wav", np.zeros(RATE // 2), RATE)
    return [*paths, folder / "quiet.wav"]


def run(server: Running, *arguments: str) -> int:
    return main(["--url", server.ws(), "--fast", *arguments])


@pytest.mark.parametrize("chunk_ms", ["5", "40", "3000"])
@pytest.mark.parametrize("speed", ["balanced", "accurate"])
def test_utterances_are_answered_as_by_classify(
    server: Running, clips: list[Path], speed: str, chunk_ms: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(clip) for clip in clips]
    assert run(server, "--mode", "utterance", "--speed", speed, "--chunk-ms", chunk_ms, "--json", *names) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = [event for event in events if event["type"] == "detection"]
    files = [("files", (name, Path(name).read_bytes())) for name in names]
    results = httpx.post(f"{server.http}/v1/classify", params={"speed": speed}, files=files).json()["results"]
    assert [event["file"] for event in answers] == names
    assert [event["type"] for event in events] == ["detection", "summary"] * len(clips)
    for answer, result in zip(answers, results, strict=True):
        assert answer["score"] == pytest.approx(result["score"], abs=1e-5)
        assert (answer["label"], answer["frame"], answer["crossed"], answer["audio_time_s"]) == (
            result["label"],
            result["frame"],
            result["crossed"],
            result["decision_time_s"],
        )
    assert {answer["label"] for answer in answers[:-1]} == {"yes", "no"}
    assert not answers[-1]["crossed"]


def test_one_line_per_event(server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "words.wav", synthesize("yes", "no"), RATE)
    assert run(server, str(tmp_path / "words.wav")) == 0
    first, second, summary = capsys.readouterr().out.splitlines()
    assert "yes " in first
    assert "no " in second
    assert first.startswith("words.wav    0.")
    assert "model wait 35 ms)" in first
    assert summary.startswith("words.wav  1.60 s of audio, 2 detections, server p50 ")


def test_early_detections_and_what_becomes_of_them(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "words.wav", np.concatenate([synthesize("no", word_s=0.03), synthesize("yes")]), RATE)
    assert run(server, "--early", str(tmp_path / "words.wav")) == 0
    *decisions, summary = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split("  (")[0].split()[3:]) for line in decisions] == EARLY_LINES
    assert "1 detections" in summary


def test_a_bad_file_is_named_and_the_others_go_on(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad.wav", tmp_path / "good.wav"
    bad.write_text("not audio")
    soundfile.write(good, synthesize("no"), RATE)
    assert run(server, str(tmp_path / "none.wav"), str(bad), str(good)) == 1
    output = capsys.readouterr()
    assert "good.wav" in output.out
    assert output.err.splitlines()[0] == "none.wav  error  bad_audio: expected a file, got: No such file or directory"
    assert output.err.splitlines()[1].startswith(
        "bad.wav  error  bad_audio: expected WAV, AIFF, FLAC, OGG or MP3, got: "
    )
    assert run(server, "--json", str(bad)) == 1
    assert json.loads(capsys.readouterr().out).items() >= {"file": str(bad), "code": "bad_audio", "fatal": True}.items()


def test_a_missing_server_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, synthesize("no"), RATE)
    assert main(["--url", "ws://127.0.0.1:9/v1/stream", str(path), str(path)]) == 1
    assert capsys.readouterr().err.count("a.wav  error  unreachable: expected a server at ws://127.0.0.1:9") == 1


def test_a_setting_the_model_lacks_fails_every_file(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, synthesize("no"), RATE)
    assert main(["--url", server.ws(model="none"), "--fast", str(path), str(path)]) == 1
    assert capsys.readouterr().err.count("a.wav  error  unknown_model: model: expected among other, tones, ") == 2


@pytest.mark.parametrize(
    "arguments", [[], ["--chunk-ms", "0", "a.wav"], ["--realtime", "--fast", "a.wav"], ["--url", "x", "a.wav"]]
)
def test_wrong_options_are_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "rc-stream: error: " in capsys.readouterr().err


def test_a_label_that_crossed_no_threshold_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    show_line(Path("a/b.wav"), {**detection("go", 0.52, crossed=False), "lag_ms": 61.2})
    expected = "b.wav    0.52 s  go?        0.97  (spoken 61 ms ago, server 1.1 ms, model wait 52 ms)\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_leaves_early_ends_the_command(server: Running, tmp_path: Path, options: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, synthesize("yes", "no", "yes"), RATE)
    files = f"{path} " * 20
    pipeline = f"set -o pipefail; {sys.executable} -m {COMMAND} --url {server.ws()} --fast {options} {files} | head -1"
    result = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (result.returncode, result.stdout.count("\n"), result.stderr) == (141, 1, "")


def test_names_and_labels_cannot_write_to_the_terminal(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[31mred\n\r\x9b2J.wav"
    soundfile.write(path, synthesize("yes"), RATE)
    assert run(server, str(path), f"{path}.none") == 1
    output = capsys.readouterr()
    assert all(char.isprintable() for char in (output.out + output.err).replace("\n", ""))
    assert output.out.splitlines()[0].startswith("\\x1b[31mred\\n\\r\\x9b2J.wav    0.")
    assert output.err.startswith("\\x1b[31mred\\n\\r\\x9b2J.wav.none  error  bad_audio: expected a file, got: ")


def test_any_name_of_a_file_can_be_printed_in_any_encoding(server: Running, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    names = [b"caf\xe9.wav", "日本語.wav".encode(), b"-dash.wav", b"a b'\"$(x).wav", b"x" * 300 + b".wav", b"=1+1.wav"]
    soundfile.write(tmp_path / "yes.wav", synthesize("yes"), RATE)
    for name in names:
        if len(name) < 255:
            shutil.copyfile(tmp_path / "yes.wav", folder + b"/" + name)
    options = [sys.executable, "-m", COMMAND, "--url", server.ws(), "--fast", "--"]
    command = [*map(os.fsencode, options), *names]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert (result.returncode, b"Traceback" in result.stderr) == (1, False)
    shown = [line.rpartition("  (")[0].split("    0.")[0] for line in result.stdout.decode("cp1252").splitlines()]
    assert shown[::2] == ["caf\\ufffd.wav", "\\u65e5\\u672c\\u8a9e.wav", "-dash.wav", "a b'\"$(x).wav", "=1+1.wav"]
    assert result.stderr.decode("cp1252").splitlines() == [
        f"{'x' * 300}.wav  error  bad_audio: expected a file, got: File name too long"
    ]


def test_a_file_without_a_name_is_shown_by_its_path(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "") == 1
    assert capsys.readouterr().err == ".  error  bad_audio: expected a file, got: Is a directory\n"
